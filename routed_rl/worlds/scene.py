"""A board to draw policies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """A frozen board, for pictures of what a policy does on each of its cells."""

    title: str
    obs: Tensor  # (n, *obs_shape) what the agent would see on each cell
    cells: Tensor  # (n, 2) row and column of each
    moves: Tensor  # (A, 2) rows down and columns right of each action
    background: Any  # (rows * tile, columns * tile, 3) uint8, the board without the agent
    tile: int  # pixels along the side of a cell
