"""The world of `minigrid_oversight` in MiniGrid itself: it draws the pictures, and its rules are read off into tables.

Only walls hide what is behind them, and they do not move. So what an agent can see depends on where it stands and which
way it looks, its pose, and MiniGrid has to be asked only once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from minigrid.core.constants import DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Goal, Lava, Wall
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray
from torch import Tensor

ACTIONS = 3
"""Turn left, turn right, go forward: MiniGrid's first three."""
VIEW = 7
"""Cells along the side of what an agent sees."""
OWN = VIEW * (VIEW - 1) + VIEW // 2
"""Where the agent is in its view, counted row by row: in the middle of the last row, looking up."""
DIRECTIONS = 4
"""Right, down, left, up: turns to the right go on to the next."""
_AHEAD = OWN - VIEW
_NOWHERE = -1

Walls = tuple[tuple[int, int], ...]


class World(MiniGridEnv):
    """A goal and lava between walls, each where it is told to be. Both end an episode by MiniGrid's own rules.

    Cells are counted row by row, and a pose is 4 * cell + direction.
    """

    def __init__(self, size: int, walls: Walls, horizon: int = 100) -> None:
        """Make a grid of `size` rows and columns with these inner walls, rows and columns counted from 0."""
        self._walls, self._start = walls, (0, ())
        mission = MissionSpace(lambda: "reach the goal")
        super().__init__(mission, grid_size=size, max_steps=horizon, render_mode="rgb_array")

    def arrange(self, pose: int, *ends: int) -> NDArray[np.uint8]:
        """Begin an episode with the agent in a pose and the goal and the lava, if given, in these cells.

        Returns:
            What the agent sees: (7, 7, 3) codes, columns first.
        """
        self._start = pose, ends
        return self.reset()[0]["image"]

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Do as MiniGrid does, but let the last image show what was reached.

        MiniGrid never shows what the agent stands on. In that place it shows what the agent carries, so the agent
        takes up the end that it reaches.
        """
        ahead = self.grid.get(*self.front_pos)
        _, reward, terminated, truncated, info = super().step(action)
        if terminated:
            self.carrying = ahead
        return self.gen_obs(), float(reward), terminated, truncated, info

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        for row, column in self._walls:
            self.grid.set(column, row, Wall())
        pose, ends = self._start
        for cell, thing in zip(ends, (Goal(), Lava()), strict=False):
            self.grid.set(cell % width, cell // width, thing)
        cell, self.agent_dir = divmod(pose, DIRECTIONS)
        self.agent_pos = cell % width, cell // width


@dataclass(frozen=True)
class Tables:
    """MiniGrid's rules for a grid of S x S cells and P = 4 * S * S poses, of which those in walls mean nothing."""

    free: Tensor  # (F,) cells without a wall
    move: Tensor  # (P, A) the pose that each action leads to
    shown: Tensor  # (P, 49) which cell each place of the view shows, row by row; -1 where none can be seen
    wall: Tensor  # (P, 49) bool, the places of the view that show a wall


@cache
def tables(size: int, walls: Walls) -> Tables:
    """Ask MiniGrid what is seen in each pose of an empty grid, and note where each move leads."""
    world = World(size, walls)
    inner = range(1, size - 1)
    free = [row * size + column for row in inner for column in inner if (row, column) not in walls]
    pose = np.arange(DIRECTIONS * size**2)
    cell, direction = np.divmod(pose, DIRECTIONS)
    kind = np.zeros((len(pose), VIEW**2), dtype=np.uint8)  # of what each place of the view shows
    for here in pose[np.isin(cell, free)].tolist():
        kind[here] = world.arrange(here)[:, :, 0].T.flatten()

    ahead = np.stack(DIR_TO_VEC)[direction] @ (1, size)  # (P,) how far on in the numbering of cells the next one is
    right = np.roll(np.stack(DIR_TO_VEC), -1, axis=0)[direction] @ (1, size)
    far, aside = OWN // VIEW - np.arange(VIEW**2) // VIEW, np.arange(VIEW**2) % VIEW - OWN % VIEW
    shown = cell[:, None] + ahead[:, None] * far + right[:, None] * aside
    forward = np.where(kind[:, _AHEAD] == OBJECT_TO_IDX["wall"], pose, DIRECTIONS * shown[:, _AHEAD] + direction)
    turned = [DIRECTIONS * cell + (direction + turn) % DIRECTIONS for turn in (-1, 1)]
    return Tables(
        free=torch.tensor(free),
        move=torch.tensor(np.stack((*turned, forward), axis=1)),
        shown=torch.tensor(np.where(kind == OBJECT_TO_IDX["unseen"], _NOWHERE, shown)),
        wall=torch.tensor(kind == OBJECT_TO_IDX["wall"]),
    )
