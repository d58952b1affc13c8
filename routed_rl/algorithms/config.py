"""The settings of the learner, named as in Stable-Baselines3, and of the outcome model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from routed_rl.models.distributions import LOG_STD_RANGE

Schedule = Literal["constant", "linear"]


class Scheduled(NamedTuple):
    """Settings that may change in the course of a run, as they are at some time."""

    learning_rate: float
    clip_range: float
    ent_coef: float


@dataclass(frozen=True)
class LearnerConfig:
    """How a policy learns from a rollout; every agent's flags begin with these."""

    algorithm: Literal["ppo", "reinforce"] = "ppo"
    """ppo: several clipped steps a rollout. reinforce: one step, as in the paper."""
    learning_rate: float = 2e-3
    """Step size of Adam."""
    learning_rate_schedule: Schedule = "constant"
    """linear: the step size falls to 0 over the run, evenly with its steps."""
    rollout_steps: int = 16
    """Steps taken in each environment between updates."""
    n_epochs: int = 2
    """Passes over a rollout (ppo)."""
    batch_size: int = 2048
    """Samples an optimiser step (ppo)."""
    clip_range: float = 0.2
    """How far the ratio of probabilities may go from 1 (ppo)."""
    clip_range_schedule: Schedule = "constant"
    """linear: the range falls to 0 likewise."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation; reinforce always uses 1, the plain return."""
    bootstrap: bool = True
    """Let the critic stand for what follows where a rollout ends or time runs out; without, nothing
    follows."""
    ent_coef: float = 0.02
    """Coefficient of the entropy bonus."""
    entropy_schedule: Schedule = "constant"
    """linear: the coefficient falls to 0 likewise."""
    vf_coef: float = 0.5
    """Coefficient of the critic's loss."""
    max_grad_norm: float = 0.5
    """Largest gradient norm of each module (expert, gate, head, critic); 0 for no clipping."""
    weight_decay: float = 0.0
    """Weight decay of Adam."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of each expert, the gate and the critic."""
    log_std_init: float = 0.0
    """Logarithm of the standard deviation that continuous actions begin with, in units in which
    their bounds are -1 and 1."""
    activation: Literal["relu", "tanh"] = "relu"
    """What follows each hidden layer; convolutions keep relu. With tanh the critic stays bounded
    far from what was seen, and where all rewards are below 0 that can help to explore."""
    hide_oversight: bool = False
    """Deny the agent the channel that shows which ends are overseen."""
    base: str | None = None
    """A policy to stand on, a .safetensors file that evaluate.py --export wrote: its network and
    head stay as they are, and what is learnt is added to its features."""
    normalize_obs: bool = False
    """Normalise observations by their running mean and deviation, and clip them to 10 deviations;
    the channel that shows the oversight stays as it is."""
    normalize_reward: bool = False
    """Divide what is learnt from by the running deviation of its discounted return, and clip it to
    10."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "rollout_steps", "n_epochs", "batch_size", "clip_range"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{_flag(name)} is {value}: it must be a number above 0.")
        for name in ("ent_coef", "vf_coef", "max_grad_norm", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{_flag(name)} is {value}: it must be a number, 0 or above.")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae-lambda is {self.gae_lambda}: give a number from 0 to 1.")
        least, most = LOG_STD_RANGE
        if not least <= self.log_std_init <= most:
            raise ValueError(
                f"log-std-init is {self.log_std_init}: give a number from {least:g} to {most:g}."
            )
        if self.base is not None and self.normalize_obs:
            raise ValueError("base and normalize-obs are both given: leave one of them out.")
        if self.base is not None:
            # With its whole path: a run may be resumed and evaluated from another folder.
            object.__setattr__(self, "base", str(Path(self.base).expanduser().resolve()))
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden is {self.hidden}: give at least one width above 0.")

    def at(self, progress: float) -> Scheduled:
        """Return what is scheduled, when a share of the run's steps, from 0 to 1, is taken."""
        return Scheduled(
            learning_rate=_at(progress, self.learning_rate, self.learning_rate_schedule),
            clip_range=_at(progress, self.clip_range, self.clip_range_schedule),
            ent_coef=_at(progress, self.ent_coef, self.entropy_schedule),
        )


def check_recall(recall: float) -> None:
    """Raise ValueError unless this can be the share of bad outcomes that is reported."""
    if not 0.0 < recall <= 1.0:
        raise ValueError(f"recall is {recall}: give a share above 0, at most 1.")


@dataclass(frozen=True)
class OutcomeModelConfig:
    """The classifier's network, its memory, and how it is fitted."""

    hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers."""
    by_cell: bool = False
    """Look at all cells of a board with one network: tens of labels do what else takes hundreds."""
    frames: int = 1
    """How many of the last frames of an episode are looked at, side by side; 1: the last alone."""
    capacity: int = 8192
    """How many frames of outcomes are kept, and of nothing; the newest over the oldest."""
    steps: int = 20
    """Optimiser steps for each rollout."""
    batch_size: int = 256
    """Frames an optimiser step."""
    members: int = 1
    """How many networks are fitted, each from its own weights and on its own minibatches."""
    recall: float = 1.0
    """In one-sided worlds, the share of bad outcomes that is assumed to be reported."""
    learning_rate: float = 1e-3
    """Step size of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""


@dataclass(frozen=True)
class InferringConfig(LearnerConfig):
    """The settings of an agent with an outcome model."""

    model_hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of the outcome model."""
    model_by_cell: bool = False
    """Let the outcome model look at each cell of a board with the same network: it needs fewer
    labels."""
    model_frames: int = 1
    """How many of the last frames of an episode the outcome model looks at; 1: the last alone."""
    recall: float = 1.0
    """In worlds with one-sided oversight, the share of bad outcomes that is assumed to be reported,
    looked at or not. 1: what is not reported counts as good. Below it: positive-unlabelled
    learning."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_frames < 1:
            raise ValueError(f"model-frames is {self.model_frames}: give 1 or more.")
        check_recall(self.recall)

    @property
    def outcome_model(self) -> OutcomeModelConfig:
        """The settings of the outcome model."""
        return OutcomeModelConfig(
            hidden=self.model_hidden,
            by_cell=self.model_by_cell,
            frames=self.model_frames,
            recall=self.recall,
        )


def _at(progress: float, start: float, schedule: Schedule) -> float:
    """Return a setting that begins at `start`."""
    return start * (1 - progress) if schedule == "linear" else start


def _flag(name: str) -> str:
    """Write a field's name as its flag has it."""
    return name.replace("_", "-")
