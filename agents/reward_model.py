"""A reward model: what happened is inferred from frames, by a classifier of those that were seen.

The obvious rival from semi-supervised learning. The classifier never sees the oversight: every end
with a label has it lit, every other has it dark. Ends with a label are worth what was reported, all
others what the classifier expects. How much an inferred bad end is worth matters: at -1 the agent
shuns every end while the classifier is poor, and collects few labels; at 0 it goes on collecting
them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import InferringConfig
from routed_rl.algorithms.outcome_model import outcome_model
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import rewards
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.spec import EnvSpec


@dataclass(frozen=True)
class Config(InferringConfig):
    """One network, rewarded for what is inferred."""

    bad_reward: float = 0.0
    """What a bad end is worth, inferred or reported; the truth is -1. Where outcomes do not end
    episodes, a bad one costs what it truly does."""
    keep_paid: bool = False
    """Where outcomes end episodes, let stand what the world pays, less a penalty for what is bad;
    else what is inferred takes its place."""
    penalty: float = 2.0
    """With keep-paid, what a bad end costs; 2 makes a ghost -1 in all."""
    model_members: int = 1
    """How many outcome models there are, each from its own weights and on its own minibatches."""
    pessimism: float = 1.0
    """How many standard deviations over these models are taken off what a step seems worth."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_members < 1:
            raise ValueError(f"model-members is {self.model_members}: give 1 or more.")
        for name in ("pessimism", "penalty"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}: it must be a number, 0 or above.")


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from rewards that a model of the outcomes infers."""

    remark = "Its reward was inferred: it is as good as the classifier that inferred it."
    config: Config

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the network and the classifier from `seed`."""
        super().__init__(spec, config, seed=seed, device=device)
        model = replace(config.outcome_model, members=config.model_members)
        self.model = outcome_model(spec, model, seed=seed, device=device)
        self.values = torch.tensor(spec.outcome_rewards, device=device)  # (K,)
        if spec.outcomes_end:
            bad = self.values < 0
            # In place of the truth.
            self.values[bad] = -config.penalty if config.keep_paid else config.bad_reward
            if config.keep_paid:
                self.values[~bad] = 0.0  # it is paid already

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Infer what was not reported: a step's expected worth is sum_k P(k) value_k."""
        each = self.model.infer_each(rollout) @ self.values  # (M, T, B, K) @ (K,) -> (M, T, B)
        # Of one model the deviation is 0.
        worth = each.mean(dim=0) - self.config.pessimism * each.std(dim=0, correction=0)
        keep = self.config.keep_paid
        return TrainingSignal(rewards.inferred(rollout, worth, self.spec, keep_paid=keep))

    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Fit the classifier on what was reported, then learn."""
        return self.model.learn(rollout) | super().update(rollout)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of learner and classifier."""
        return super().state_dict() | {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self.model.load_state_dict(state["model"])
