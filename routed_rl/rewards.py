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
