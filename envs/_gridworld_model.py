"""The gridworld as tables: every placement of the agent and the ends, once for each oversight condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.env import EnvSpec, Model
from routed_rl.oversight import Oversight


class Maps(NamedTuple):
    """Where one can be, and how one gets about."""

    free: Tensor  # (F,) int64, cells without a wall
    neighbour: Tensor  # (cells, A) int64, where each action leads
    distance: Tensor  # (cells, cells) steps


def enumerate_states(
    maps: Maps, look: Callable[[Tensor, Tensor, Tensor], Tensor], spec: EnvSpec, oversight: Oversight, rewards: Tensor
) -> Model:
    """List every state.

    Args:
        maps: the grid.
        look: lays states out as planes: cells (N, 1 + K), watched (N, K), spurious marks (N, 0) -> (N, C, H, W).
        spec: of the world.
        oversight: how likely each condition is.
        rewards: (K + 1,), of nothing and of each end.
    """
    ends, free = len(spec.outcomes), len(maps.free)
    device = maps.free.device
    placed = torch.cartesian_prod(*[torch.arange(free, device=device)] * (1 + ends))
    placed = placed[(placed[:, :, None] == placed[:, None, :]).sum(dim=(1, 2)) == 1 + ends]  # distinct cells
    number = torch.zeros((free,) * (1 + ends), dtype=torch.int64, device=device)
    number[tuple(placed.T)] = torch.arange(len(placed), device=device)

    free_index = torch.zeros(len(maps.neighbour), dtype=torch.int64, device=device)
    free_index[maps.free] = torch.arange(free, device=device)
    moved = free_index[maps.neighbour[maps.free[placed[:, 0]]]]  # (P, A)
    ids = torch.arange(1, ends + 1, device=device)
    outcome = ((moved[:, :, None] == placed[:, None, 1:]) * ids).sum(dim=2)
    next_placed = number[(moved, *[placed[:, k, None].expand_as(moved) for k in range(1, 1 + ends)])]

    conditions = torch.cartesian_prod(*[torch.tensor([False, True], device=device)] * ends).view(-1, ends)
    copies = len(conditions)
    offset = (torch.arange(copies, device=device) * len(placed)).repeat_interleave(len(placed))
    watched = conditions.repeat_interleave(len(placed), dim=0)
    distance = maps.distance[maps.free[placed[:, :1]], maps.free[placed[:, 1:]]].repeat(copies, 1)
    outcome = outcome.repeat(copies, 1)
    cells = maps.free[placed].repeat(copies, 1)

    def observe(states: Tensor) -> Tensor:
        return look(cells[states], watched[states], watched.new_zeros(len(states), 0))

    return Model(
        next_state=next_placed.repeat(copies, 1) + offset[:, None],
        outcome=outcome,
        reward=rewards[outcome],
        start_weight=oversight.odds(watched, distance) / len(placed),
        scene_weight=_within(oversight.odds(watched, distance, possible=True), copies),
        watched=watched,
        observe=observe,
        references={f"{spec.target}-seeker": _seeker(maps, cells)},
    )


def _seeker(maps: Maps, cells: Tensor) -> Tensor:
    """Seek the target by random shortest paths, blind to the other ends: action probabilities (S, A)."""
    here, target = cells[:, 0], cells[:, 1]
    nearer = maps.distance[maps.neighbour[here], target[:, None]] < maps.distance[here, target][:, None]
    weights = torch.where(nearer.any(dim=1, keepdim=True), nearer, True).double()
    return weights / weights.sum(dim=1, keepdim=True)


def _within(weights: Tensor, conditions: int) -> Tensor:
    """Scale the weights of each condition's states, (S,), to the sum 1; a condition that cannot be keeps zeros."""
    rows = weights.view(conditions, -1)
    return (rows / rows.sum(dim=1, keepdim=True).clamp(min=1e-300)).flatten()
