"""What an agent learns from: views of the reward, and advantages made of them.

A view turns a rollout whose labels are hidden into the (T, B) reward that a method learns from, and
leaves no NaN in it. A new method usually needs no more than a new view.
"""

from __future__ import annotations

import torch
from torch import Tensor

from routed_rl.rollout import Rollout


def reached(rollout: Rollout) -> Tensor:
    """Reward any end with 1, good or bad: all that is known of every episode. Paper: the routed agent."""
    return rollout.terminated.float()


def observed(rollout: Rollout, penalty: float) -> Tensor:
    """Reward any end with 1, less a penalty where it is known to be bad. Paper: naive outcome-based training."""
    bad = rollout.terminated & (rollout.reward < 0)  # an unknown reward is NaN, and not below 0
    return reached(rollout) - penalty * bad


def seen(rollout: Rollout) -> Tensor:
    """Reward with the reported truth where there is one, with 0 on every step whose episode is unknown."""
    return rollout.reward.nan_to_num(0.0)


def inferred(rollout: Rollout, value: Tensor) -> Tensor:
    """Reward each end with its inferred value, (T, B), and every other step as the environment does."""
    return torch.where(rollout.terminated, value, seen(rollout))


def advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, terminated: Tensor, done: Tensor, discount: float, trace: float
) -> tuple[Tensor, Tensor]:
    """Compute generalised advantage estimates and the returns that the critic should predict.

    Schulman et al., "High-dimensional continuous control using generalized advantage estimation", arXiv
    1506.02438. With trace 1 the target is the discounted return to go, bootstrapped at the rollout's edge.

    Args:
        reward: (T, B).
        value: (T, B) the critic's estimate before each step.
        next_value: (T, B) its estimate after each step, before any reset; ignored after an outcome.
        terminated: (T, B) bool; nothing follows an outcome.
        done: (T, B) bool; no trace goes from one episode to the next.
        discount: per step.
        trace: GAE's lambda.

    Returns:
        advantage (T, B) and target (T, B).
    """
    delta = reward + discount * next_value * ~terminated - value
    carry = discount * trace * ~done
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + carry[t] * running
        advantage[t] = running
    return advantage, advantage + value


def normalised(advantage: Tensor, weight: Tensor) -> Tensor:
    """Shift and scale advantages so that, weighted, their mean is 0 and their deviation 1: all of one shape."""
    share = weight / weight.sum().clamp(min=1e-8)
    centred = advantage - (share * advantage).sum()
    return centred / ((share * centred.square()).sum().sqrt() + 1e-8)
