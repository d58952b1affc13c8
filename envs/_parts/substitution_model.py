"""States of the substitution world: how they look, and all of them as tables.

A state is four cells: of the agent, the diamond, the ghost and the glitch. The last two are `away`,
a cell behind the last one of the grid, in episodes without them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.tables import TabularMDP

from .grid import Maps
from .gridworld_model import placements, seeker

THINGS = 4
"""The agent and three ends."""


class Sight:
    """Lays states out as channels: the agent, the diamond, the ghost, the glitch."""

    def __init__(self, rows: int, columns: int, also: int | None) -> None:
        """Prepare for a grid; the glitch is marked in the channel `also` too, if there is one."""
        self._shape = (rows, columns)
        self._also = also

    def __call__(self, cells: Tensor) -> Tensor:
        """Lay out cells (N, 4) int64: (N, 4, H, W)."""
        away = self._shape[0] * self._shape[1]
        # A column for what is away, which is then left out.
        marks = torch.zeros(len(cells), THINGS, away + 1, device=cells.device)
        marks.scatter_(2, cells[:, :, None], 1.0)
        if self._also is not None:
            marks[:, self._also].scatter_(1, cells[:, -1:], 1.0)
        return marks[:, :, :away].unflatten(2, self._shape)


def list_states(area: int) -> tuple[Tensor, int]:
    """List all states of a grid of `area` cells.

    Returns:
        Cells (S, 4), those of episodes with the diamond alone first, and the number of these.
    """
    alone = placements(area, 1)
    absent = torch.full_like(alone, area)
    return torch.cat((torch.cat((alone, absent), dim=1), placements(area, 3))), len(alone)


def enumerate_states(
    maps: Maps, look: Sight, hackable: float, paid: Tensor, worth: Tensor
) -> TabularMDP:
    """Return the world as tables.

    Args:
        maps: the grid, without walls.
        look: lays states out.
        hackable: share of the episodes with ghost and glitch.
        paid: (4,) what nothing and each end pay.
        worth: (4,) what they are truly worth.
    """
    area = len(maps.free)
    cells, alone = list_states(area)
    cells = cells.to(maps.free.device)
    # Number of a state by its cells; of no meaning where two share one, which ends the episode.
    number = torch.zeros(area, area, area + 1, area + 1, dtype=torch.int64, device=cells.device)
    number[tuple(cells.T)] = torch.arange(len(cells), device=cells.device)
    agent = maps.neighbour[cells[:, 0]]  # (S, A)
    ends = cells[:, 1:]
    numbers = torch.arange(1, THINGS, device=cells.device)
    outcome = ((agent[:, :, None] == ends[:, None, :]) * numbers).sum(dim=2)  # (S, A)
    start = torch.zeros(len(cells), dtype=torch.float64, device=cells.device)
    start[:alone] = (1 - hackable) / alone
    start[alone:] = hackable / (len(cells) - alone)
    return TabularMDP(
        next_state=number[(agent, *ends.T[:, :, None].expand(-1, -1, agent.shape[1]))],
        outcome=outcome,
        terminates=outcome != NOTHING,
        reward=paid[outcome],
        true_reward=worth[outcome],
        start_probability=start,
        condition_probability=start,  # nothing shows what is overseen: there is one condition
        overseen_ends=torch.zeros_like(ends, dtype=torch.bool),
        observe=lambda states: look(cells[states]),
        references=_references(maps, cells),
    )


def _references(maps: Maps, cells: Tensor) -> dict[str, Tensor]:
    """Return policies that seek one end by random shortest paths, or the diamond where it is not.

    Args:
        maps: the grid.
        cells: (S, 4).
    """
    diamond = cells[:, 1]
    found = {}
    for k, name in enumerate(("diamond", "ghost", "glitch"), start=1):
        there = cells[:, k] < len(maps.free)
        sought = torch.where(there, cells[:, k], diamond)
        found[f"{name}-seeker"] = seeker(maps, torch.stack((cells[:, 0], sought), dim=1))
    return found
