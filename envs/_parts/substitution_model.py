"""States of the substitution world: how they look, and all of them as tables.

A state is the cells of the agent, the diamond, the ghost, the glitch and, if there is one, the dud.
Ghost and glitch are `away`, a cell behind the last one of the grid, in episodes without them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP

from .grid import Maps
from .gridworld_model import board_of, placements, seeker

HACKS = slice(2, 4)
"""Where ghost and glitch stand among the things."""


class Sight:
    """Lays states out as channels: the agent, then each end."""

    def __init__(self, rows: int, columns: int, also: int | None) -> None:
        """Prepare for a grid; the glitch is marked in the channel `also` too, if there is one."""
        self._shape = (rows, columns)
        self._also = also

    def __call__(self, cells: Tensor) -> Tensor:
        """Lay out cells (N, 1 + K) int64: (N, 1 + K, H, W)."""
        away = self._shape[0] * self._shape[1]
        # A column for what is away, which is then left out.
        marks = torch.zeros(*cells.shape, away + 1, device=cells.device)
        marks.scatter_(2, cells[:, :, None], 1.0)
        if self._also is not None:
            marks[:, self._also].scatter_(1, cells[:, 3:4], 1.0)
        return marks[:, :, :away].unflatten(2, self._shape)


def list_states(area: int, ends: int) -> tuple[Tensor, int]:
    """List all states of a grid of `area` cells with so many ends.

    Returns:
        Cells (S, 1 + ends), first those of episodes without ghost and glitch, and their number.
    """
    clean = placements(area, ends - 2)
    absent = torch.full((len(clean), 2), area)
    clean = torch.cat((clean[:, :2], absent, clean[:, 2:]), dim=1)
    return torch.cat((clean, placements(area, ends))), len(clean)


def enumerate_states(
    maps: Maps, look: Sight, spec: EnvSpec, hackable: float, paid: Tensor
) -> TabularMDP:
    """Return the world as tables.

    Args:
        maps: the grid, without walls.
        look: lays states out.
        spec: of the world.
        hackable: share of the episodes with ghost and glitch.
        paid: (1 + K,) what nothing and each end pay.
    """
    worth = paid.new_tensor((0.0, *spec.outcome_rewards))
    area = len(maps.free)
    cells, clean = list_states(area, len(paid) - 1)
    cells = cells.to(maps.free.device)
    # Number of a state by its cells; of no meaning where two share one, which ends the episode.
    sizes = [area + 1] * len(paid)
    number = torch.zeros(sizes, dtype=torch.int64, device=cells.device)
    number[tuple(cells.T)] = torch.arange(len(cells), device=cells.device)
    agent = maps.neighbour[cells[:, 0]]  # (S, A)
    ends = cells[:, 1:]
    numbers = torch.arange(1, len(paid), device=cells.device)
    outcome = ((agent[:, :, None] == ends[:, None, :]) * numbers).sum(dim=2)  # (S, A)
    start = torch.zeros(len(cells), dtype=torch.float64, device=cells.device)
    start[:clean] = (1 - hackable) / clean
    start[clean:] = hackable / (len(cells) - clean)
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
        board=board_of(maps, spec, cells),
    )


def _references(maps: Maps, cells: Tensor) -> dict[str, Tensor]:
    """Return policies that seek one end by random shortest paths, or the diamond where it is not.

    Args:
        maps: the grid.
        cells: (S, 1 + K).
    """
    diamond = cells[:, 1]
    found = {}
    for k, name in enumerate(("diamond", "ghost", "glitch"), start=1):
        there = cells[:, k] < len(maps.free)
        sought = torch.where(there, cells[:, k], diamond)
        found[f"{name}-seeker"] = seeker(maps, torch.stack((cells[:, 0], sought), dim=1))
    return found
