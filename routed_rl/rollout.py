"""A rollout: T steps of B environments, what was decided in them, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.env import VecEnv


class Decision(NamedTuple):
    """What a policy decided for B observations."""

    action: Tensor  # (B,) int64 or (B, A) float
    log_prob: Tensor  # (B,) log-probability of the action
    value: Tensor  # (B,) the critic's estimate of the return to come
    steer: Tensor | None = None  # (B, E) expert weights it acted with, a row of NaN where it acted as the mixture


@dataclass(frozen=True)
class Rollout:
    """T steps of B environments, time first, and the frame that follows the last."""

    obs: Tensor  # (T, B, *obs_shape) what was acted on
    last_obs: Tensor  # (B, *obs_shape) what is to be acted on next
    action: Tensor  # (T, B) int64 or (T, B, A) float
    log_prob: Tensor  # (T, B)
    value: Tensor  # (T, B)
    steer: Tensor | None  # (T, B, E)
    final_obs: Tensor  # (T, B, *obs_shape) what each action led to, before any reset
    reward: Tensor  # (T, B) the truth, or after `labels.hide` what of it is known
    terminated: Tensor  # (T, B) bool
    truncated: Tensor  # (T, B) bool
    outcome: Tensor  # (T, B) int64
    overseen: Tensor  # (T, B) bool
    reported: Tensor  # (T, B) int64
    label: Tensor | None = None  # (T, B) int64, what the overseer knows of the step's episode; `labels.hide` sets it

    @property
    def done(self) -> Tensor:
        """(T, B) bool: the episode ended with this step."""
        return self.terminated | self.truncated


class Frames(NamedTuple):
    """Where a rollout's observations are written: allocated once, since fresh memory costs a fifth of collecting."""

    obs: Tensor  # (T, B, *obs_shape)
    final_obs: Tensor  # (T, B, *obs_shape)

    @classmethod
    def like(cls, obs: Tensor, steps: int) -> Frames:
        """Allocate room for `steps` observations like obs (B, *obs_shape)."""
        return cls(obs.new_empty(steps, *obs.shape), obs.new_empty(steps, *obs.shape))


@torch.no_grad()
def collect(
    env: VecEnv, act: Callable[[Tensor], Decision], obs: Tensor, steps: int, frames: Frames | None = None
) -> Rollout:
    """Let `act` play for some steps.

    Args:
        env: the environments.
        act: decides for observations (B, *obs_shape).
        obs: (B, *obs_shape) what to act on first.
        steps: T, how many steps to take in each environment.
        frames: where to write the observations, over those of an earlier rollout; new room unless given.

    Returns:
        The rollout, with the truth in it: hide what the overseer did not see before an agent learns from it.
    """
    frames = frames or Frames.like(obs, steps)
    decisions, answers = [], []
    for t in range(steps):
        decision = act(obs)
        step = env.step(decision.action)
        frames.obs[t], frames.final_obs[t] = obs, step.final_obs
        decisions.append(decision)
        answers.append(step[2:])
        obs = step.obs
    action, log_prob, value, steer = zip(*decisions, strict=True)
    return Rollout(
        frames.obs,
        obs,
        torch.stack(action),
        torch.stack(log_prob),
        torch.stack(value),
        None if steer[0] is None else torch.stack(steer),
        frames.final_obs,
        *(torch.stack(column) for column in zip(*answers, strict=True)),
    )
