"""The gridworld's tables with a cue added: every state of the plain world, in the dark and lit.

There are P placements. A block is P states that share a cue and a set of reported ends; where the
cue shows in first frames only, also whether they are first frames. State b * P + p is placement p
in block b. A move never changes the cue or the set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from routed_rl.worlds.tables import TabularMDP

Show = Callable[[Tensor, Tensor], Tensor]
"""Channels of the cue, (N, 1, H, W), for lit (N, 1) bool and first frames (N,) bool."""


@dataclass(frozen=True)
class Cue:
    """How probable a cue is, and what is reported where it is dark and where it is lit."""

    share: float  # probability that it is lit
    reports: Tensor  # (2, K) probability that each end is reported, dark and lit, where overseen
    once: bool  # it shows in first frames only
    show: Show


def add_cue(plain: TabularMDP, cue: Cue, oversight: float) -> tuple[TabularMDP, Tensor]:
    """List the states of the gridworld with a cue.

    Args:
        plain: the gridworld without it, its C conditions one after another.
        cue: what to add.
        oversight: probability that the overseer looks at an end.

    Returns:
        The tables, and in which of their S states the cue is lit, (S, 1) bool.
    """
    conditions = 2 ** cue.reports.shape[1]
    count = len(plain.next_state) // conditions  # P
    start, given = _probabilities(plain.overseen_ends[::count], cue, oversight)  # (2, C) each
    # What cannot be at any oversight needs no states.
    lit, condition = given.nonzero(as_tuple=True)  # (blocks,) each
    blocks = len(lit)
    frames = 1 + cue.once  # first frames apart, if they look different
    block = torch.arange(frames * blocks, device=lit.device).repeat_interleave(count)  # (S,)
    place = torch.arange(count, device=lit.device).repeat(frames * blocks)
    first = block < blocks
    kind = block % blocks
    source = condition[kind] * count + place  # the state of the plain world
    is_lit = lit[kind, None] == 1
    # The first frames come first, so what follows any frame is in the last blocks.
    onward = (frames - 1) * blocks + kind

    def observe(states: Tensor) -> Tensor:
        shown = cue.show(is_lit[states], first[states])
        return torch.cat((plain.observe(source[states]), shown), dim=1)

    assert plain.board is not None
    shown = {"lit": is_lit[:, 0]} | ({"just begun": first} if cue.once else {})
    board = replace(plain.board, cells=plain.board.cells[source], shown=shown)
    tables = replace(
        plain,
        next_state=plain.next_state[source] % count + count * onward[:, None],
        outcome=plain.outcome[source],
        terminates=plain.terminates[source],
        reward=plain.reward[source],
        true_reward=plain.true_reward[source],
        start_probability=start[lit, condition][kind] * first / count,
        condition_probability=given[lit, condition][kind] * first / count,
        overseen_ends=plain.overseen_ends[source],
        observe=observe,
        references={name: policy[source] for name, policy in plain.references.items()},
        board=board,
    )
    return tables, is_lit


def _probabilities(conditions: Tensor, cue: Cue, oversight: float) -> tuple[Tensor, Tensor]:
    """Return how probable a cue is with each set of reported ends, and given that set.

    Args:
        conditions: (C, K) bool, the sets.
        cue: with the probabilities of reports where an end is overseen.
        oversight: probability that the overseer looks at an end.

    Returns:
        (2, C) each, rows dark and lit. The columns of the second have a sum of 1; that of a set
        which cannot be has 0.
    """
    shares = torch.tensor((1 - cue.share, cue.share), dtype=torch.float64)
    prior = shares.to(conditions.device)[:, None]

    def joint(base: float) -> Tensor:
        reported = cue.reports[:, None] * base  # (2, 1, K)
        return prior * torch.where(conditions, reported, 1 - reported).prod(dim=2)

    # As in `Oversight.condition_probability`: returns by set are defined at 0 and 1 too.
    possible = joint(min(max(oversight, 1e-9), 1 - 1e-9))
    return joint(oversight), possible / possible.sum(dim=0).clamp(min=1e-300)
