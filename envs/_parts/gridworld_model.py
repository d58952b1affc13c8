"""The gridworld as tables: every placement of agent and ends, under every oversight condition.

There are P placements, and C conditions: sets of ends that are overseen. State c * P + p is
placement p under condition c. A move leads from placement to placement, and never changes the
condition.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.oversight import Oversight
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import Board, TabularMDP

from .grid import MOVES, Maps


def enumerate_states(
    maps: Maps,
    look: Callable[[Tensor, Tensor, Tensor], Tensor],
    spec: EnvSpec,
    oversight: Oversight,
    rewards: Tensor,
) -> TabularMDP:
    """List all S = C * P states.

    Args:
        maps: the grid.
        look: lays states out as channels: cells (N, 1 + K), overseen ends (N, K), spurious marks
            (N, 0) -> (N, C, H, W).
        spec: of the world.
        oversight: how probable each condition is.
        rewards: (K + 1,), the true ones of nothing and of each end.
    """
    ends = len(spec.outcomes)
    placed = placements(len(maps.free), ends).to(maps.free.device)  # (P, 1 + K)
    conditions = _conditions(ends).to(maps.free.device)  # (C, K)
    overseen_ends = conditions.repeat_interleave(len(placed), dim=0)  # (S, K)
    cells = maps.free[placed].repeat(len(conditions), 1)  # (S, 1 + K)
    distance = maps.distance[cells[:, :1], cells[:, 1:]]  # (S, K)
    next_state, outcome = _moves(maps, placed, len(conditions))  # (S, A) each
    start, given_condition = _probabilities(oversight, overseen_ends, distance, len(conditions))

    terminates = outcome != NOTHING

    def observe(states: Tensor) -> Tensor:
        return look(cells[states], overseen_ends[states], overseen_ends.new_zeros(len(states), 0))

    return TabularMDP(
        next_state=next_state,
        outcome=outcome,
        terminates=terminates,
        reward=terminates.float(),  # any end pays, good or bad
        true_reward=rewards[outcome],
        start_probability=start,
        condition_probability=given_condition,
        overseen_ends=overseen_ends,
        observe=observe,
        references={f"{spec.target}-seeker": seeker(maps, cells)},
        board=board_of(maps, spec, cells),
    )


def board_of(maps: Maps, spec: EnvSpec, cells: Tensor) -> Board:
    """Say where everything is: `cells` (S, 1 + K) of the agent and the ends."""
    rows, columns = spec.obs_shape[-2:]
    walls = torch.ones(rows * columns, dtype=torch.bool, device=cells.device)
    walls[maps.free] = False
    return Board(rows, columns, spec.outcomes, cells, torch.tensor(MOVES), walls)


def placements(free: int, ends: int) -> Tensor:
    """List all ways to put agent and ends on distinct free cells.

    Returns:
        (P, 1 + K) indices into the free cells.
    """
    things = 1 + ends
    every = torch.cartesian_prod(*[torch.arange(free)] * things)
    # Each thing equals itself; where there are no more equal pairs than these, all are distinct.
    equal = (every[:, :, None] == every[:, None, :]).sum(dim=(1, 2))
    return every[equal == things]


def _moves(maps: Maps, placements: Tensor, conditions: int) -> tuple[Tensor, Tensor]:
    """Return the state and the outcome that each action leads to, (S, A) each.

    Args:
        maps: the grid.
        placements: (P, 1 + K).
        conditions: C.
    """
    things = placements.shape[1]
    free = len(maps.free)
    device = placements.device
    # Number of a placement; of no meaning where two things share a cell, which ends the episode.
    number = torch.zeros((free,) * things, dtype=torch.int64, device=device)
    number[tuple(placements.T)] = torch.arange(len(placements), device=device)
    index_of_cell = torch.zeros(len(maps.neighbour), dtype=torch.int64, device=device)
    index_of_cell[maps.free] = torch.arange(free, device=device)
    agent = index_of_cell[maps.neighbour[maps.free[placements[:, 0]]]]  # (P, A)
    ids = torch.arange(1, things, device=device)
    outcome = ((agent[:, :, None] == placements[:, None, 1:]) * ids).sum(dim=2)
    ends = [placements[:, k, None].expand_as(agent) for k in range(1, things)]
    # Under condition c the same, C times over: only the numbers of the states begin at c * P.
    first = torch.arange(conditions, device=device).repeat_interleave(len(placements))
    next_state = number[(agent, *ends)].repeat(conditions, 1) + len(placements) * first[:, None]
    return next_state, outcome.repeat(conditions, 1)


def _conditions(ends: int) -> Tensor:
    """List all sets of overseen ends, (C, K) bool."""
    return torch.cartesian_prod(*[torch.tensor([False, True])] * ends).view(-1, ends)


def _probabilities(
    oversight: Oversight, overseen_ends: Tensor, distance: Tensor, conditions: int
) -> tuple[Tensor, Tensor]:
    """Return how probable each state is as a start, (S,): at all, and given its condition.

    Args:
        oversight: how probable each condition is.
        overseen_ends: (S, K) bool.
        distance: (S, K) steps from the agent to each end.
        conditions: C.
    """
    # All placements are equally probable.
    placements = len(overseen_ends) // conditions
    start = oversight.condition_probability(overseen_ends, distance) / placements
    # Given a condition the sum is 1, but for one that cannot be: that keeps zeros.
    possible = oversight.condition_probability(overseen_ends, distance, possible=True)
    rows = possible.view(conditions, -1)
    given_condition = rows / rows.sum(dim=1, keepdim=True).clamp(min=1e-300)
    return start, given_condition.flatten()


def seeker(maps: Maps, cells: Tensor) -> Tensor:
    """Seek the target by random shortest paths, blind to the other ends.

    Args:
        maps: the grid.
        cells: (S, 1 + K) of the agent and the ends, the target first.

    Returns:
        Action probabilities (S, A).
    """
    here = cells[:, 0]
    target = cells[:, 1]
    after = maps.distance[maps.neighbour[here], target[:, None]]  # (S, A)
    nearer = after < maps.distance[here, target][:, None]
    # Where no move leads nearer, walls are around the target: any move will do.
    weights = torch.where(nearer.any(dim=1, keepdim=True), nearer, True).double()
    return weights / weights.sum(dim=1, keepdim=True)
