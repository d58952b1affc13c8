"""A grid to move on: where each move leads, how far cells are apart, and draws of distinct cells."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Row and column of each action: up, down, left, right."""


def neighbours(rows: int, columns: int, free: Collection[int]) -> Tensor:
    """Return the cell that each action leads to, (cells, A); edges and cells not free leave one where one is."""
    table = []
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        targets = []
        for down, right in MOVES:
            inside = 0 <= row + down < rows and 0 <= column + right < columns
            to = (row + down) * columns + column + right
            targets.append(to if inside and to in free else cell)
        table.append(targets)
    return torch.tensor(table)


def distances(neighbour: Tensor) -> Tensor:
    """Return the number of moves from each cell to each, (cells, cells); infinite where there is no way."""
    distance = torch.full((len(neighbour), len(neighbour)), math.inf, device=neighbour.device)
    distance.fill_diagonal_(0.0)
    for _ in range(len(neighbour)):
        distance = torch.minimum(distance, 1 + distance[neighbour].amin(dim=1))
    return distance


def distinct(uniform: Tensor, cells: int) -> Tensor:
    """Turn independent uniforms (B, n) into n distinct cells each, uniform over all arrangements.

    Pick number j is one of the cells - j that are left; counting past the earlier picks, smallest
    first, gives its cell.
    """
    picks: list[Tensor] = []
    ascending: list[Tensor] = []
    for j in range(uniform.shape[1]):
        pick = (uniform[:, j] * (cells - j)).long()
        for earlier in ascending:
            pick = pick + (pick >= earlier)
        picks.append(pick)
        for i, earlier in enumerate(ascending):
            ascending[i], pick = torch.minimum(earlier, pick), torch.maximum(earlier, pick)
        ascending.append(pick)
    return torch.stack(picks, dim=1)
