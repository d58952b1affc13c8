"""A rollout: T steps of B environments, what was decided in them, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.utils import ranks
from routed_rl.worlds.outcomes import names_outcome
from routed_rl.worlds.vec_env import VecEnv


class Decision(NamedTuple):
    """What a policy decided for B observations."""

    action: Tensor  # (B,) int64, or (B, A) int64 or float
    log_prob: Tensor  # (B,) log-probability of the action
    value: Tensor  # (B,) the critic's estimate of the return to come
    expert_weights: Tensor | None = (
        None  # (B, E) it acted with, a row of NaN where the gate decided
    )
    obs_hash: Tensor | None = (
        None  # (B,) int64, equal where what the policy sees is; None: not known
    )


@dataclass(frozen=True, kw_only=True)
class Experience:
    """What everybody may know of T steps of B environments, time first."""

    obs: Tensor  # (T, B, *obs_shape) what was acted on
    last_obs: Tensor  # (B, *obs_shape) what is to be acted on next
    final_obs: Tensor  # (T, B, *obs_shape) what each action led to, before any reset
    action: Tensor  # (T, B) int64, or (T, B, A) int64 or float
    log_prob: Tensor  # (T, B)
    value: Tensor  # (T, B)
    expert_weights: Tensor | None = None  # (T, B, E)
    obs_hash: Tensor | None = None  # (T, B) int64
    reward: Tensor  # (T, B) what the world paid
    terminated: Tensor  # (T, B) bool
    truncated: Tensor  # (T, B) bool

    @property
    def done(self) -> Tensor:
        """(T, B) bool: the episode ended with this step."""
        return self.terminated | self.truncated


@dataclass(frozen=True, kw_only=True)
class Rollout(Experience):
    """A rollout with the truth in it: for trainer, evaluation, and agents that see everything."""

    true_reward: Tensor  # (T, B) what is wanted
    outcome: Tensor  # (T, B) int64, k + 1 where outcome k happened, else 0
    overseen: Tensor  # (T, B) bool, the overseer looked at the step
    reported: Tensor  # (T, B) int64, what it says happened


@dataclass(frozen=True, kw_only=True)
class VisibleRollout(Experience):
    """A rollout as an honest agent gets it: what the overseer did not see is not in it."""

    true_reward: Tensor  # (T, B) what is known of the true reward; NaN where nobody looked
    overseen: Tensor  # (T, B) bool, the overseer looked at the step
    reported: Tensor  # (T, B) int64, k + 1 where outcome k was reported, 0 elsewhere
    label: Tensor  # (T, B) int64, what is known of the step's segment: k + 1 if it led to outcome
    # k, 0 if to nothing, below 0 if that is unknown or still open (worlds/outcomes.py)

    @property
    def segment_end(self) -> Tensor:
        """(T, B) bool: a segment ended here, with its episode or with something reported."""
        return self.done | names_outcome(self.reported)


class Frames(NamedTuple):
    """Where a rollout's observations are written.

    Allocated once: fresh memory costs a fifth of collecting.
    """

    obs: Tensor  # (T, B, *obs_shape)
    final_obs: Tensor  # (T, B, *obs_shape)

    @classmethod
    def like(cls, obs: Tensor, steps: int) -> Frames:
        """Allocate room for `steps` observations like obs (B, *obs_shape)."""
        return cls(obs.new_empty(steps, *obs.shape), obs.new_empty(steps, *obs.shape))


@torch.no_grad()
def collect(
    env: VecEnv,
    act: Callable[[Tensor], Decision],
    obs: Tensor,
    steps: int,
    frames: Frames | None = None,
) -> Rollout:
    """Let `act` play for some steps.

    Args:
        env: the environments.
        act: decides for observations (B, *obs_shape).
        obs: (B, *obs_shape) what to act on first.
        steps: T, how many steps to take in each environment.
        frames: where to write the observations, over those of an earlier rollout; new room unless
            given.

    Returns:
        The rollout with the truth in it; `labels.hide` takes out what the overseer did not see.
    """
    frames = frames or Frames.like(obs, steps)
    decisions: list[Decision] = []
    answers: list[_Answer] = []
    for t in range(steps):
        decision = act(obs)
        step = env.step(decision.action)
        frames.obs[t] = obs
        frames.final_obs[t] = step.final_obs
        decisions.append(decision)
        answers.append(_Answer(*(getattr(step, name) for name in _Answer._fields)))
        obs = step.obs
    decided = Decision(*map(_stack, zip(*decisions, strict=True)))  # type: ignore[arg-type]
    answered = _Answer(*map(torch.stack, zip(*answers, strict=True)))
    return Rollout(
        obs=frames.obs,
        last_obs=obs,
        final_obs=frames.final_obs,
        **decided._asdict(),
        **answered._asdict(),
    )


def from_all_ranks(rollout: Rollout) -> Rollout:
    """Put the rollouts of all processes that train together into one, environments side by side."""
    whole = {}
    for field in fields(rollout):
        rows = getattr(rollout, field.name)
        dim = 0 if field.name == "last_obs" else 1
        whole[field.name] = None if rows is None else ranks.gather(rows, dim)
    return Rollout(**whole)


class _Answer(NamedTuple):
    """What is kept of a `Step` beside its observations, which are written into the frames."""

    reward: Tensor
    true_reward: Tensor
    terminated: Tensor
    truncated: Tensor
    outcome: Tensor
    overseen: Tensor
    reported: Tensor


def _stack(column: tuple[Tensor | None, ...]) -> Tensor | None:
    """Stack what was decided in each step; None where a policy decides no such thing."""
    present = [x for x in column if x is not None]
    return torch.stack(present) if present else None
