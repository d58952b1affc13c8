"""What agents with one network share: everything but what they make of a rollout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from routed_rl.env import EnvSpec
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Blueprint, Policy
from routed_rl.rollout import Decision, Rollout


class SingleAgent(ABC):
    """One expert without a gate. A method says in `lesson` what it learns from."""

    sees_everything = False
    acting = deployed = "policy"
    remark: str

    def __init__(self, spec: EnvSpec, config: LearnerConfig, *, seed: int, device: torch.device) -> None:
        """Build the network from `seed`."""
        self.spec, self.config = spec, config
        blueprint = Blueprint.of(spec, ("policy",), config.hidden, hide_oversight=config.hide_oversight)
        self.learner = Learner(blueprint, config, discount=spec.discount, seed=seed, device=device)

    @abstractmethod
    def lesson(self, rollout: Rollout) -> Lesson:
        """Say which reward to learn from, and how much each step counts."""

    def act(self, obs: Tensor) -> Decision:
        """Sample actions."""
        return self.learner.act(obs)

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Learn from a rollout."""
        return self.learner.update(rollout, self.lesson(rollout))

    def policies(self) -> dict[str, Policy]:
        """Return the one policy."""
        return {"policy": self.learner.policy}

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.learner.load_state_dict(state)
