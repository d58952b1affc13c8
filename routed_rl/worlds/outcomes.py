"""How outcomes are numbered: what happened, what is known of it, and whose expert it is.

An outcome is `NOTHING`, or k + 1 for `spec.outcomes[k]`. A label is the number of an outcome where
one is known, and a `Label` below `NOTHING` where none is. Expert k is that of outcome k + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

NOTHING = 0
"""The outcome of a step in which nothing happened that has a name."""


class Label(IntEnum):
    """What is known of a step's segment, beside the numbers of outcomes."""

    UNKNOWN = -2  # something may have happened in it that the overseer did not see
    RUNNING = -1  # it had not ended when the rollout did
    NOTHING = NOTHING  # it ended, and nothing happened in it


def names_outcome(label: Tensor) -> Tensor:
    """Say where a label names an outcome: (...) bool of labels (...) int64."""
    return label > NOTHING


def expert_of(label: Tensor) -> Tensor:
    """Return the expert of each label's outcome, (...) int64; below 0 where it names no outcome."""
    return label - 1


def is_bad(number: Tensor, outcome_rewards: Sequence[float]) -> Tensor:
    """Say where outcomes or labels (...) int64 name an outcome that is truly worth less than 0.

    Args:
        number: of outcomes, or labels.
        outcome_rewards: K, what each outcome is truly worth.
    """
    worth = torch.tensor((0.0, *outcome_rewards), device=number.device)
    return worth[number.clamp(min=NOTHING)] < 0


def outcome_of(expert: Tensor) -> Tensor:
    """Return the outcome of each expert, (...) int64: the inverse of `expert_of`."""
    return expert + 1
