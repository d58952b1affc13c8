"""A reward model: what was reached is inferred from the last frame, by a classifier fitted on overseen ends.

The obvious rival from semi-supervised learning. The classifier never sees the oversight plane: every end with a
label has it lit, every other has it dark. Ends with a label are worth what was reported, all others what the
classifier expects. How much an inferred bad end is worth matters: at -1 the agent shuns every end while
the classifier is poor, and collects few labels; at 0 it goes on collecting them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from routed_rl import rewards
from routed_rl.env import EnvSpec
from routed_rl.learner import LearnerConfig, Lesson
from routed_rl.outcome_model import OutcomeModel
from routed_rl.rollout import Rollout

from ._single import SingleAgent


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded for what is inferred."""

    bad_reward: float = 0.0
    """What a bad end is worth, inferred or reported; the truth is -1."""
    model_hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of the classifier."""
    model_by_cell: bool = False
    """Let the classifier look at each cell of a board with the same eyes: it needs far fewer labels."""


class Agent(SingleAgent):
    """Learns from rewards that a model of the outcomes infers."""

    remark = "Its reward was inferred: it is as good as the classifier that inferred it."
    config: Config

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the network and the classifier from `seed`."""
        super().__init__(spec, config, seed=seed, device=device)
        self.model = OutcomeModel(spec, config.model_hidden, by_cell=config.model_by_cell, seed=seed, device=device)
        self.values = torch.tensor(spec.outcome_rewards, device=device)
        self.values[self.values < 0] = config.bad_reward

    def lesson(self, rollout: Rollout) -> Lesson:
        """Infer what was not reported."""
        return Lesson(rewards.inferred(rollout, self.model.infer(rollout) @ self.values))

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Fit the classifier on what was reported, then learn."""
        return self.model.learn(rollout) | super().update(rollout)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of learner and classifier."""
        return super().state_dict() | {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self.model.load_state_dict(state["model"])
