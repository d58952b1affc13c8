"""A grid to move on: where each move leads, how far cells are apart, and draws of distinct cells.

Cells are counted row by row.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Row and column of each action: up, down, left, right."""


class Maps(NamedTuple):
    """Where one can be, and how one gets about."""

    free: Tensor  # (F,) int64, cells without a wall
    neighbour: Tensor  # (cells, A) int64, where each action leads
    distance: Tensor  # (cells, cells) steps

    @classmethod
    def of(cls, rows: int, columns: int, free: Collection[int], device: torch.device) -> Maps:
        """Draw the maps of a grid in which the cells `free` can be entered."""
        neighbour = neighbours(rows, columns, set(free)).to(device)
        return cls(torch.tensor(list(free), device=device), neighbour, distances(neighbour))


def neighbours(rows: int, columns: int, free: Collection[int]) -> Tensor:
    """Return the cell that each action leads to, (cells, A).

    An edge, or a cell that is not free, leaves one where one is.
    """
    table = []
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        targets = []
        for down, right in MOVES:
            # A step over the right edge would come out in the next row: look at both coordinates.
            inside = 0 <= row + down < rows and 0 <= column + right < columns
            to = (row + down) * columns + column + right
            targets.append(to if inside and to in free else cell)
        table.append(targets)
    return torch.tensor(table)


def distances(neighbour: Tensor) -> Tensor:
    """Return the moves from each cell to each, (cells, cells); infinite where there is no way.

    Args:
        neighbour: (cells, A) int64, as `neighbours` gives it.
    """
    distance = torch.full((len(neighbour), len(neighbour)), math.inf, device=neighbour.device)
    distance.fill_diagonal_(0.0)
    # d(c, x) = min over actions of 1 + d(next(c), x). No way has more moves than there are cells.
    for _ in range(len(neighbour)):
        distance = torch.minimum(distance, 1 + distance[neighbour].amin(dim=1))
    return distance


def distinct(uniform: Tensor, cells: int) -> Tensor:
    """Turn independent uniforms into distinct cells, uniform over all arrangements.

    Pick number j is one of the cells - j that are left; counting past the earlier picks, smallest
    first, gives its cell.

    Args:
        uniform: (B, n) draws from [0, 1).
        cells: how many there are to choose from.

    Returns:
        (B, n) int64.
    """
    picks: list[Tensor] = []
    ascending: list[Tensor] = []  # the picks so far, sorted in each row
    for j in range(uniform.shape[1]):
        pick = (uniform[:, j] * (cells - j)).long()  # (B,) its place among the cells that are left
        for earlier in ascending:
            pick = pick + (pick >= earlier)
        picks.append(pick)
        # One pass of an insertion sort, in all rows at once.
        for i, earlier in enumerate(ascending):
            ascending[i] = torch.minimum(earlier, pick)
            pick = torch.maximum(earlier, pick)
        ascending.append(pick)
    return torch.stack(picks, dim=1)
