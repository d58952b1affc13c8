"""Where an overseer can see, for --env.where: functions of what a step led to."""

from __future__ import annotations

from torch import Tensor


def left_half(obs: Tensor) -> Tensor:
    """See an agent on the left half of a board, observations (B, C, H, W), agent in channel 0."""
    width = obs.shape[-1]
    return obs[:, 0, :, : width // 2].flatten(1).any(dim=1)


def fading(obs: Tensor) -> Tensor:
    """See an agent with a probability that falls from 1 in the leftmost column to 0."""
    width = obs.shape[-1]
    column = obs[:, 0].amax(dim=1).argmax(dim=1)  # (B,) of the agent
    return 1 - column / (width - 1)
