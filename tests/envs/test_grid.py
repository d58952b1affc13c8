"""The grid that some worlds share."""

from __future__ import annotations

import itertools
import math

import torch

from routed_rl.envs._parts.grid import distances, distinct, neighbours


def test_every_placement_is_equally_likely() -> None:
    draws = 120_000
    cells = distinct(torch.rand(draws, 3, generator=torch.Generator().manual_seed(1)), 5)
    counts = {p: 0 for p in itertools.permutations(range(5), 3)}
    for row in cells.tolist():
        counts[tuple(row)] += 1  # a KeyError here is a cell taken twice
    expected = draws / len(counts)
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 100, "59 degrees of freedom: beyond 100 is one in a thousand"


def test_moves_stop_at_edges_and_walls_and_ways_lead_around_them() -> None:
    # 0 # 2
    # 3 4 5
    neighbour = neighbours(2, 3, {0, 2, 3, 4, 5})
    assert neighbour[0].tolist() == [0, 3, 0, 0], "up, down, left, right"
    assert neighbour[4].tolist() == [4, 4, 3, 5]
    assert neighbour[5].tolist() == [2, 5, 4, 5]
    distance = distances(neighbour)
    assert distance[0].tolist() == [0, math.inf, 4, 1, 2, 3]
