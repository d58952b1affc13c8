"""The losses, as pure functions of (N,) tensors. Each method is a choice of their arguments.

Every loss is a mean over N samples; `weight` (0 or 1, or anything between) decides how much a sample
counts, without changing what is divided by: a filtered sample is one of weight 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def _check_rank(rank: int, **tensors: Tensor) -> None:
    """Raise ValueError unless all have this rank and one length; a silent broadcast would change the loss."""
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    if any(x.ndim != rank for x in tensors.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(f"expected rank {rank} and one length for all, got {shapes}.")


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor, weight: Tensor) -> Tensor:
    """Compute the REINFORCE loss, -mean(weight * advantage * log pi(a|s)).

    Williams, "Simple statistical gradient-following algorithms" (1992).

    Args:
        log_prob: (N,) log-probability of the action that was taken.
        advantage: (N,) return minus baseline; no gradient flows into it.
        weight: (N,) how much each sample counts.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if a shape is not (N,).
    """
    _check_rank(1, log_prob=log_prob, advantage=advantage, weight=weight)
    return -(weight * advantage.detach() * log_prob).mean()


def clipped_policy_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, weight: Tensor, clip: float
) -> Tensor:
    """Compute PPO's clipped surrogate loss.

    Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347, equation 7.

    Args:
        log_prob: (N,) log-probability of the action under the policy being trained.
        old_log_prob: (N,) the same under the policy that acted.
        advantage: (N,) no gradient flows into it.
        weight: (N,) how much each sample counts.
        clip: how far the ratio may go from 1 before its gradient stops.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if a shape is not (N,).
    """
    _check_rank(1, log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage, weight=weight)
    advantage = advantage.detach()
    ratio = (log_prob - old_log_prob.detach()).exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -(weight * surrogate).mean()


def value_loss(value: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the critic's squared error, mean(weight * (value - target)^2), all (N,)."""
    _check_rank(1, value=value, target=target, weight=weight)
    return (weight * (value - target.detach()) ** 2).mean()


def entropy_bonus(entropy: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean of the policy's entropies in nats, both (N,)."""
    _check_rank(1, entropy=entropy, weight=weight)
    return (weight * entropy).mean()


def gate_loss(logits: Tensor, expert: Tensor, labelled: Tensor) -> Tensor:
    """Compute the gate's cross-entropy on labelled samples: choose the expert of what will be reached.

    The mean is over labelled samples alone, as in the released code of the paper; with two experts and
    the second logit fixed at 0 this is its binary cross-entropy. Without labelled samples it is 0.

    Args:
        logits: (N, E) the gate's logits.
        expert: (N,) int64, the expert of the label; ignored where `labelled` is false.
        labelled: (N,) bool.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if the ranks are not 2, 1, 1.
    """
    _check_rank(2, logits=logits)
    _check_rank(1, expert=expert, labelled=labelled)
    per_sample = functional.cross_entropy(logits, torch.where(labelled, expert, 0), reduction="none")
    return (per_sample * labelled).sum() / labelled.sum().clamp(min=1)
