"""How states of a gridworld are laid out as channels, and a few of them as boards for pictures.

Channels: the agent, each end, the oversight and, if there are any, the walls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from routed_rl.worlds.scene import Scene
from routed_rl.worlds.spec import EnvSpec

from .grid import MOVES
from .gridworld_art import TILE, render

_BOARDS = 2
_BOARD_SEED = 3
"""The boards of this seed have their ends well apart."""


class Layout:
    """Lays states out as channels."""

    def __init__(self, spec: EnvSpec, free: Tensor, *, mimic: bool) -> None:
        """Prepare for a world.

        Args:
            spec: of the world, with a channel for walls if it has any.
            free: (F,) int64, cells without a wall.
            mimic: mark the last end in the good end's channel too.
        """
        self._spec = spec
        self._free = free
        self._mimic = mimic
        _, rows, self._columns = spec.obs_shape
        self._area = rows * self._columns  # cells of a channel
        things = 1 + len(spec.outcomes)
        # Where the channel of each thing begins in a flat observation, (1 + K,).
        self._offsets = torch.arange(things, device=free.device) * self._area

    def __call__(self, cells: Tensor, overseen_ends: Tensor, spurious: Tensor) -> Tensor:
        """Lay out N states.

        Args:
            cells: (N, 1 + K) int64, of the agent and the ends.
            overseen_ends: (N, K) bool.
            spurious: (N, cells) bool, further marks in the channel of oversight; (N, 0) for none.

        Returns:
            (N, C, H, W).
        """
        things = cells.shape[1]
        # Flat, so that a cell's number is its index and one scatter marks all things of all states.
        flat = torch.zeros(len(cells), math.prod(self._spec.obs_shape), device=cells.device)
        after_things = things * self._area
        oversight = flat[:, after_things : after_things + self._area]
        if spurious.shape[1]:
            oversight.copy_(spurious)
        # After the spurious marks: an end's own cell always tells the truth.
        oversight.scatter_(1, cells[:, 1:], overseen_ends.float())
        flat.scatter_(1, cells + self._offsets, 1.0)
        if self._mimic:
            flat.scatter_(1, cells[:, -1:] + self._offsets[1], 1.0)
        if self._spec.obs_shape[0] > things + 1:
            walls = flat[:, after_things + self._area :]
            walls[:] = 1.0
            walls[:, self._free] = 0.0
        return flat.view(-1, *self._spec.obs_shape)

    def scenes(self, overseen: Sequence[bool] = (False, True)) -> Iterator[Scene]:
        """Yield two placements of the ends, each with no end overseen and with all.

        Args:
            overseen: which of these, and in which order.
        """
        kinds = len(self._spec.outcomes)
        generator = torch.Generator().manual_seed(_BOARD_SEED)
        for number in range(1, 1 + _BOARDS):
            order = torch.randperm(len(self._free), generator=generator)
            ends = self._free[order[:kinds].to(self._free.device)]
            for seen in overseen:
                name = "overseen" if seen else "unseen"
                yield self._scene(f"board {number}, {name}", ends, overseen=seen)

    def _scene(self, title: str, ends: Tensor, *, overseen: bool) -> Scene:
        """Put the agent on every cell that the ends (K,) leave free."""
        device = ends.device
        agents = self._free[(self._free[:, None] != ends).all(dim=1)]  # (n,)
        cells = torch.cat((agents[:, None], ends.expand(len(agents), -1)), dim=1)
        overseen_ends = torch.full((len(agents), len(ends)), overseen, device=device)
        obs = self(cells, overseen_ends, overseen_ends.new_zeros(len(agents), 0))
        board = obs[0].clone()
        board[0] = 0.0  # the board without the agent
        return Scene(
            title=title,
            obs=obs,
            cells=torch.stack((agents // self._columns, agents % self._columns), dim=1),
            moves=torch.tensor(MOVES),
            background=render(board, self._spec, "rgb_array"),
            tile=TILE,
        )
