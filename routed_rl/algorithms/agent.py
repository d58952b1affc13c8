"""What an agent must be, and base classes for one network and for experts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.objective import Metrics
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import ablate
from routed_rl.rollouts.rollout import Decision, Experience, VisibleRollout
from routed_rl.worlds.spec import EnvSpec

Seen = TypeVar("Seen", bound=Experience)
"""The rollout that an agent learns from: `VisibleRollout`, or `Rollout` if it sees everything."""


class Agent(ABC, Generic[Seen]):
    """A method: how to act and to learn from a rollout, and which policies it offers.

    Everything that the trainer, the episode log and the tables read from an agent stands here.
    """

    sees_everything: ClassVar[bool] = False
    """Whether it learns from the truth. Every table says so."""
    acting: str
    """The name, in `policies()`, of the policy that acts in training."""
    deployed: str
    """The name, in `policies()`, of the policy to deploy."""
    remark: str = ""
    """What to know when reading the table of its policies."""
    rollout_steps: int
    """Steps taken in each environment between updates."""
    grad_mask: Tensor | None = None
    """(T, B, E + 1) bool: what each step of the latest rollout trained, for the episode log."""

    def set_progress(self, progress: float) -> None:
        """Take note of the share of the run's steps, from 0 to 1, that is taken.

        The trainer says so before each `update`. Here nothing depends on it.
        """
        return

    @abstractmethod
    def act(self, obs: Tensor) -> Decision:
        """Decide for observations (B, *obs_shape).

        Where torchrun runs several processes, these are of one's own environments; `update` gets
        the rollout of all.
        """

    @abstractmethod
    def update(self, rollout: Seen) -> Metrics:
        """Learn from a rollout; return metrics, `group/name` -> scalar."""

    @abstractmethod
    def policies(self) -> dict[str, Policy]:
        """Return the policies to evaluate, by name."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to continue to the same bits.

        Tensors and plain values only.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


class SingleNetworkAgent(Agent[Seen]):
    """One network without a gate. A method says in `training_signal` what it learns from."""

    acting = deployed = "policy"

    def __init__(
        self, spec: EnvSpec, config: LearnerConfig, *, seed: int, device: torch.device
    ) -> None:
        """Build the network from `seed`."""
        self.spec = spec
        self.config = config
        self.rollout_steps = config.rollout_steps
        shape = PolicySpec.of(
            spec, ("policy",), config.hidden, hide_oversight=config.hide_oversight
        )
        self.learner = Learner(shape, config, discount=spec.discount, seed=seed, device=device)

    def set_progress(self, progress: float) -> None:
        """Let the learner's schedules go on."""
        self.learner.set_progress(progress)

    @abstractmethod
    def training_signal(self, rollout: Seen) -> TrainingSignal:
        """Say which reward to learn from, and how much each step counts."""

    def act(self, obs: Tensor) -> Decision:
        """Sample actions."""
        return self.learner.act(obs)

    def update(self, rollout: Seen) -> Metrics:
        """Learn from a rollout."""
        return self.learner.update(rollout, self.training_signal(rollout))

    def policies(self) -> dict[str, Policy]:
        """Return the one policy."""
        return {"policy": self.learner.policy}

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.learner.load_state_dict(state)


class ExpertsAgent(Agent[VisibleRollout]):
    """Experts for outcomes. That of the good outcome is deployed, with all others ablated."""

    acting = "mixture"

    def __init__(self, spec: EnvSpec, config: LearnerConfig, learner: Learner) -> None:
        """Take a learner, one of whose experts is named after the good outcome of the world."""
        self.spec = spec
        self.config = config
        self.learner = learner
        self.deployed = spec.target
        self.rollout_steps = config.rollout_steps

    def set_progress(self, progress: float) -> None:
        """Let the learner's schedules go on."""
        self.learner.set_progress(progress)

    def act(self, obs: Tensor) -> Decision:
        """Act as the mixture."""
        return self.learner.act(obs)

    def policies(self) -> dict[str, Policy]:
        """Return the mixture, and each expert with all others ablated."""
        policy = self.learner.policy
        alone = {name: ablate(policy, {name: 1.0}) for name in policy.spec.experts}
        return {"mixture": policy} | alone

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.learner.load_state_dict(state)
