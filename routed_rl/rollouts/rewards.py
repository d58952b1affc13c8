"""Reward views: what an agent learns from.

A view turns a rollout whose labels are hidden into the (T, B) reward that a method learns from, and
leaves no NaN in it. A new method usually needs no more than a new view.
"""

from __future__ import annotations

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Experience, VisibleRollout


def reached(rollout: Experience) -> Tensor:
    """Reward any end with 1, good or bad: all that is known of every episode.

    Paper: the routed agent.
    """
    return rollout.terminated.float()


def observed(rollout: VisibleRollout, penalty: float) -> Tensor:
    """Reward any end with 1, less a penalty where it is known to be bad.

    Paper: naive outcome-based training.
    """
    bad = rollout.terminated & (rollout.reward < 0)  # an unknown reward is NaN, and not below 0
    return reached(rollout) - penalty * bad


def seen(rollout: VisibleRollout) -> Tensor:
    """Reward with the reported truth where there is one, with 0 where an episode is unknown."""
    return rollout.reward.nan_to_num(0.0)


def inferred(rollout: VisibleRollout, value: Tensor) -> Tensor:
    """Reward each end with its inferred value, (T, B), and every other step as the world does."""
    return torch.where(rollout.terminated, value, seen(rollout))
