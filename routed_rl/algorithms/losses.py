"""The losses, as pure functions of (N,) tensors. Each method is a choice of their arguments.

Every loss is a mean over N samples. A sample's `weight` (0 or 1, or anything between) decides how
much it counts, without changing what is divided by: a filtered sample is one of weight 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from routed_rl.models.distributions import log_softmax


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
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    weight: Tensor,
    clip_range: float,
) -> Tensor:
    """Compute PPO's clipped surrogate loss.

    Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347, equation 7.

    Args:
        log_prob: (N,) log-probability of the action under the policy being trained.
        old_log_prob: (N,) the same under the policy that acted.
        advantage: (N,) no gradient flows into it.
        weight: (N,) how much each sample counts.
        clip_range: how far the ratio of probabilities may go from 1 before its gradient stops.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if a shape is not (N,).
    """
    _check_rank(1, log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage, weight=weight)
    advantage = advantage.detach()
    ratio = (log_prob - old_log_prob.detach()).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    # The minimum is the pessimistic of both: a ratio that moved the wrong way keeps its gradient.
    surrogate = torch.minimum(ratio * advantage, clipped * advantage)
    return -(weight * surrogate).mean()


def value_loss(value: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the critic's squared error, mean(weight * (value - target)^2).

    Args:
        value: (N,) what the critic says.
        target: (N,) the return that it should predict; no gradient flows into it.
        weight: (N,) how much each sample counts.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if a shape is not (N,).
    """
    _check_rank(1, value=value, target=target, weight=weight)
    return (weight * (value - target.detach()) ** 2).mean()


def entropy_bonus(entropy: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean of the policy's entropies in nats, both (N,)."""
    _check_rank(1, entropy=entropy, weight=weight)
    return (weight * entropy).mean()


def gate_loss(
    logits: Tensor, expert: Tensor, labelled: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the gate's cross-entropy on labelled samples: choose the expert of what is reached.

    The mean is over labelled samples alone, as in the paper's released code. With two experts and
    the second logit fixed at 0 this is its binary cross-entropy. Without labelled samples it is 0.

    Args:
        logits: (N, E) the gate's logits.
        expert: (N,) int64, the expert of the label; ignored where `labelled` is false.
        labelled: (N,) bool.
        weight: (N,) how much each sample counts, without changing what is divided by; 1 unless
            given.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: if the ranks are not 2, 1, 1, 1.
    """
    _check_rank(2, logits=logits)
    _check_rank(1, expert=expert, labelled=labelled)
    # nll_loss refuses the negative numbers that say "not known": any expert will do there.
    some_expert = torch.where(labelled, expert, 0)
    log_probs = log_softmax(logits)  # faster than cross_entropy's own, to the same bits
    per_sample = functional.nll_loss(log_probs, some_expert, reduction="none")  # (N,)
    if weight is not None:
        _check_rank(1, expert=expert, weight=weight)
        per_sample = per_sample * weight
    return (per_sample * labelled).sum() / labelled.sum().clamp(min=1)


def non_negative_risk(positive: Tensor, unlabelled: Tensor, prior: float, share: float) -> Tensor:
    """Compute the risk of a classifier that learns from positives and from unlabelled samples.

    Kiryo et al., "Positive-unlabelled learning with non-negative risk estimator", arXiv 1703.00593,
    with the logistic loss. Their unlabelled samples are of everything, labelled or not.
    Here those with a label are left out of them; the positives stand for these, by their share.
    With `prior` equal to `share` every unlabelled sample counts as negative.

    Args:
        positive: (N,) logits of labelled positives.
        unlabelled: (M,) logits of samples without a label.
        prior: share of positives among everything.
        share: share of labelled positives among everything, at most `prior`; 0: as in the paper.

    Returns:
        The risk, a scalar.

    Raises:
        ValueError: if a shape is not (N,).
    """
    _check_rank(1, positive=positive)
    _check_rank(1, unlabelled=unlabelled)
    as_positive = functional.softplus(-positive).mean()
    as_negative = (1 - share) * functional.softplus(unlabelled).mean()
    hidden = (prior - share) * functional.softplus(positive).mean()
    # What is left is the risk of negatives, below 0 only where positives are learnt by heart.
    return prior * as_positive + (as_negative - hidden).clamp(min=0)


def _check_rank(rank: int, **tensors: Tensor) -> None:
    """Raise ValueError unless all have this rank and one length."""
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    ranks = {len(shape) for shape in shapes.values()}
    lengths = {shape[0] for shape in shapes.values() if shape}
    # (N,) minus (N, 1) would be (N, N) without a word, and its mean another loss.
    if ranks != {rank} or len(lengths) > 1:
        raise ValueError(f"expected rank {rank} and one length for all, got {shapes}.")
