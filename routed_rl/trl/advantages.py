"""Group-relative advantages whose baseline leaves out what is flagged."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

_EPSILON = 1e-4
"""TRL's own."""


def group_advantages(
    rewards: Tensor,
    flagged: Tensor,
    group_size: int,
    scale: Literal["group", "batch", "none"] = "group",
) -> Tensor:
    """Say how much better than its group a completion is, where the group is what is not flagged.

    A hack that pays well would raise the mean, and push the honest completions of its group below
    it: then the retain adapter would learn to avoid them. So the baseline is the mean of those that
    are not flagged, or of all where all are. The scale is the deviation of all, since that of one
    or two that are left would be 0 or chance. Without flags it is TRL's formula for
    `multi_objective_aggregation="sum_then_normalize"` (DeepSeekMath, arXiv 2402.03300, 4.1.2).

    Args:
        rewards: (N,) float, group after group; NaN where nobody could score.
        flagged: (N,) bool or float in [0, 1]; the baseline weighs by what is not flagged.
        group_size: completions of one prompt.
        scale: divide by the deviation of a group, of the batch, or by nothing.

    Returns:
        (N,) float; 0 where the reward is NaN.
    """
    groups = rewards.view(-1, group_size)  # (G, K)
    known = ~groups.isnan()
    trusted = (1.0 - flagged.to(rewards.dtype)).view_as(groups) * known
    none_left = trusted.sum(dim=1, keepdim=True) == 0
    weights = torch.where(none_left, known.to(rewards.dtype), trusted)
    values = groups.nan_to_num()
    # NaN where nobody could score any of a group, whose advantages are NaN as well, and become 0.
    baseline = (weights * values).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    advantages = groups - baseline
    if scale == "group":
        advantages = advantages / (_deviation(groups, known)[:, None] + _EPSILON)
    elif scale == "batch":
        deviation = _deviation(groups.reshape(1, -1), known.reshape(1, -1))
        advantages = advantages / (deviation + _EPSILON)
    return advantages.flatten().nan_to_num()


def _deviation(rows: Tensor, known: Tensor) -> Tensor:
    """Return the deviation of what is known in each row, with Bessel's correction, (G,)."""
    count = known.sum(dim=1)
    mean = rows.nan_to_num().sum(dim=1) / count
    squares = torch.where(known, (rows - mean[:, None]).square(), 0.0).sum(dim=1)
    return (squares / (count - 1).clamp(min=1)).sqrt()
