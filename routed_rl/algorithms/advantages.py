"""Advantages, and the returns that a critic should predict."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Transitions(NamedTuple):
    """What advantages are computed from."""

    reward: Tensor  # (T, B)
    value: Tensor  # (T, B) the critic's estimate before each step
    next_value: Tensor  # (T, B) after each step and before any reset; ignored after an outcome
    terminated: Tensor  # (T, B) bool; nothing follows an outcome
    done: Tensor  # (T, B) bool; no advantage goes from one episode to the next


def advantages(
    transitions: Transitions, *, discount: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Compute generalised advantage estimates and the returns that the critic should predict.

    With delta_t = r_t + discount * V_{t+1} - V_t the estimate is A_t = delta_t + discount * lambda
    * A_{t+1}. Schulman et al., "High-dimensional continuous control using generalized advantage
    estimation", arXiv 1506.02438, equation 16.

    Args:
        transitions: T steps of B environments.
        discount: per step.
        gae_lambda: with 1 the value target is the discounted return to go, bootstrapped at the
            edge.

    Returns:
        Advantages (T, B) and value targets (T, B).
    """
    reward, value, next_value, terminated, done = transitions
    delta = reward + discount * next_value * ~terminated - value
    carry = discount * gae_lambda * ~done
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + carry[t] * running
        advantage[t] = running
    return advantage, advantage + value


def returns_to_go(reward: Tensor, done: Tensor, *, discount: float) -> Tensor:
    """Return the discounted sum of rewards (T, B) from each step to its episode's end: (T, B)."""
    zeros = torch.zeros_like(reward)
    transitions = Transitions(reward, zeros, zeros, done, done)
    advantage, _ = advantages(transitions, discount=discount, gae_lambda=1.0)
    return advantage


def normalised(advantage: Tensor, weight: Tensor) -> Tensor:
    """Shift and scale advantages so that, weighted, their mean is 0 and their deviation 1."""
    share = weight / weight.sum().clamp(min=1e-8)
    centred = advantage - (share * advantage).sum()
    return centred / ((share * centred.square()).sum().sqrt() + 1e-8)
