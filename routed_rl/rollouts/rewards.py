"""Reward views: what an agent learns from.

A view turns a rollout whose labels are hidden into the (T, B) reward that a method learns from, and
leaves no NaN in it. A new method usually needs no more than a new view. What the world pays is
`rollout.reward`: that is the routed agent's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import is_bad
from routed_rl.worlds.spec import EnvSpec


def observed(rollout: VisibleRollout, penalty: float, outcome_rewards: Sequence[float]) -> Tensor:
    """Reward with what the world pays, less a penalty where something bad was reported.

    Paper: naive outcome-based training.

    Args:
        rollout: T steps of B environments.
        penalty: what a bad outcome costs.
        outcome_rewards: K, what each outcome is truly worth: one below 0 is bad.
    """
    return rollout.reward - penalty * is_bad(rollout.reported, outcome_rewards)


def seen(rollout: VisibleRollout) -> Tensor:
    """Reward with what is known of the true reward, with 0 where it is unknown."""
    return rollout.true_reward.nan_to_num(0.0)


def inferred(
    rollout: VisibleRollout, worth: Tensor, spec: EnvSpec, *, keep_paid: bool = False
) -> Tensor:
    """Reward with what outcomes are worth that were reported or inferred.

    Where outcomes end episodes that is all that an end is worth, unless what is paid is kept;
    elsewhere it comes on top of what the world pays.

    Args:
        rollout: T steps of B environments.
        worth: (T, B) expected worth of what happened in each step, 0 where nothing did.
        spec: of the world.
        keep_paid: let it come on top everywhere.
    """
    if keep_paid or not spec.outcomes_end:
        return rollout.reward + worth
    return torch.where(rollout.terminated, worth, seen(rollout))


def __getattr__(name: str) -> Any:
    """Say what became of a view that plug-ins of before version 0.3 use."""
    if name == "reached":
        raise AttributeError(
            "rewards.reached is gone: what the world pays is rollout.reward, 1 at any end in the "
            "gridworld, and the truth is rollout.true_reward."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
