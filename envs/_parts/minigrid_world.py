"""The world of `minigrid_oversight` in MiniGrid itself, and MiniGrid's rules as tables.

MiniGrid draws the pictures. Only walls hide what is behind them, and they do not move. So what an
agent can see depends on its pose: where it stands and which way it looks. MiniGrid has to be asked
only once for each.

A cell's number counts row by row. A pose is 4 * cell + direction.
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
"""The agent's place in its view, row by row: the middle of the last row, looking up."""
DIRECTIONS = 4
"""Right, down, left, up: turns to the right go on to the next."""
_AHEAD = OWN - VIEW
_UNSEEN = -1

Walls = tuple[tuple[int, int], ...]


class World(MiniGridEnv):
    """A goal and lava between walls, each where it is told to be.

    Both end an episode by MiniGrid's own rules.
    """

    def __init__(self, size: int, walls: Walls, horizon: int = 100) -> None:
        """Make a grid of `size` rows and columns, with walls at these rows and columns from 0."""
        self._walls = walls
        self._pose = 0
        self._ends: tuple[int, ...] = ()
        mission = MissionSpace(lambda: "reach the goal")
        super().__init__(mission, grid_size=size, max_steps=horizon, render_mode="rgb_array")

    def arrange(self, pose: int, *ends: int) -> NDArray[np.uint8]:
        """Begin an episode.

        Args:
            pose: of the agent.
            ends: the cells of the goal and the lava; neither is there unless given.

        Returns:
            What the agent sees: (7, 7, 3) codes, columns first.
        """
        self._pose = pose
        self._ends = ends
        obs, _ = self.reset()
        return obs["image"]

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Do as MiniGrid does, but let the last image show what was reached.

        MiniGrid never shows what the agent stands on. In that place it shows what the agent
        carries, so the agent takes up the end that it reaches.
        """
        ahead = self.grid.get(*self.front_pos)
        _, reward, terminated, truncated, info = super().step(action)
        if terminated:
            self.carrying = ahead
        return self.gen_obs(), float(reward), terminated, truncated, info

    def _gen_grid(self, width: int, height: int) -> None:
        """Put everything in its place; MiniGrid calls this in `reset`."""
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        for row, column in self._walls:
            self.grid.set(column, row, Wall())
        for cell, thing in zip(self._ends, (Goal(), Lava()), strict=False):
            self.grid.set(cell % width, cell // width, thing)
        cell, self.agent_dir = divmod(self._pose, DIRECTIONS)
        self.agent_pos = (cell % width, cell // width)


@dataclass(frozen=True)
class Tables:
    """MiniGrid's rules for a grid of S x S cells and P = 4 * S * S poses.

    The rows of poses in walls mean nothing.
    """

    free: Tensor  # (F,) cells without a wall
    move: Tensor  # (P, A) the pose that each action leads to
    shown: Tensor  # (P, 49) the cell that each place of the view shows; -1 where none can be seen
    wall: Tensor  # (P, 49) bool, the places of the view that show a wall


@cache
def tables(size: int, walls: Walls) -> Tables:
    """Ask MiniGrid what is seen in each pose of an empty grid, and note where each move leads."""
    inner = range(1, size - 1)
    free = [row * size + column for row in inner for column in inner if (row, column) not in walls]
    pose = np.arange(DIRECTIONS * size**2)  # (P,)
    cell, direction = np.divmod(pose, DIRECTIONS)
    kind = _kinds(World(size, walls), pose[np.isin(cell, free)])
    shown = _shown(size, cell, direction)
    blocked = kind[:, _AHEAD] == OBJECT_TO_IDX["wall"]
    forward = np.where(blocked, pose, DIRECTIONS * shown[:, _AHEAD] + direction)
    left = DIRECTIONS * cell + (direction - 1) % DIRECTIONS
    right = DIRECTIONS * cell + (direction + 1) % DIRECTIONS
    return Tables(
        free=torch.tensor(free),
        move=torch.tensor(np.stack((left, right, forward), axis=1)),
        shown=torch.tensor(np.where(kind == OBJECT_TO_IDX["unseen"], _UNSEEN, shown)),
        wall=torch.tensor(kind == OBJECT_TO_IDX["wall"]),
    )


def _kinds(world: World, poses: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return MiniGrid's codes of what is seen, (P, 49); 0 in poses not asked for."""
    kind = np.zeros((DIRECTIONS * world.width * world.height, VIEW**2), dtype=np.uint8)
    for pose in poses.tolist():
        # MiniGrid's image has columns first, and the kind of thing in the first of three numbers.
        kind[pose] = world.arrange(pose)[:, :, 0].T.flatten()
    return kind


def _shown(size: int, cell: NDArray[np.int64], direction: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cell at each place of the view, (P, 49), were nothing in the way.

    Args:
        size: rows and columns of the grid.
        cell: (P,) where the agent is.
        direction: (P,) which way it looks.
    """
    # MiniGrid's directions are (column, row). On the cells' numbers a column is 1, a row is `size`.
    step = np.stack(DIR_TO_VEC) @ np.array((1, size))  # (4,)
    ahead = step[direction]
    right = np.roll(step, -1)[direction]  # the next direction is to the right
    place = np.arange(VIEW**2)
    far = OWN // VIEW - place // VIEW  # rows of the view ahead of the agent
    aside = place % VIEW - OWN % VIEW  # columns of the view to its right
    return cell[:, None] + ahead[:, None] * far + right[:, None] * aside
