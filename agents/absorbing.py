"""Routed experts that absorb what a handful of labels points at: the paper's method, and three things more.

1. What an unlabelled episode reached is inferred from its last frame, and decides its route ("inferred labels").
2. Some of the environments act with a part of the experts, as a deployed policy will ("steered rollouts"). There an
   end is worth what it is worth to that deployment: 1 if its outcome is allowed, else `bad_reward`.
3. The critic is told who acts.

So the steered policies are trained for what they are deployed for, and do not walk through a bad end. With
`profiles` every set of allowed outcomes is practised, and one run serves every deployment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from routed_rl import labels
from routed_rl.env import EnvSpec
from routed_rl.labels import Label
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.outcome_model import OutcomeModel
from routed_rl.policy import Blueprint, Policy
from routed_rl.profiles import profiles, weights
from routed_rl.rollout import Decision, Rollout
from routed_rl.steering import ablate


@dataclass(frozen=True)
class Config(LearnerConfig):
    """Routing by inferred labels, and steered rollouts."""

    weight_decay: float = 1e-4
    """Weight decay of Adam."""
    gate_loss: float = 0.1
    """Coefficient of the gate's loss on labelled episodes."""
    steered: float = 0.8
    """Share of the environments that act with a part of the experts."""
    profiles: Literal["target", "all"] = "target"
    """Which parts act: the good outcome's expert alone, or every set of experts in turn."""
    bad_reward: float = -1.0
    """What an end that is not allowed is worth to a steered policy."""
    confidence: float = 0.9
    """An unlabelled episode has the route of an outcome that is inferred with at least this chance."""
    routes: Literal["inferred", "label", "none", "random"] = "inferred"
    """inferred: also by inferred labels. label: by given ones only. none: all train all. random: labels shuffled."""
    model_hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of the outcome model."""
    model_by_cell: bool = True
    """Let the outcome model look at each cell of a board with the same eyes: it needs far fewer labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steered", "confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number from 0 to 1.")


class Agent:
    """Experts and a gate; a part of the environments acts as a policy to be deployed."""

    sees_everything = False
    acting = "mixture"
    remark = (
        "Each expert was also trained alone, for what it is deployed for, with rewards inferred from a few labels. "
        "The mixture was rewarded for reaching any end."
    )

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the networks and the outcome model from `seed`."""
        self.spec, self.config, self.deployed = spec, config, spec.target
        blueprint = Blueprint.of(
            spec,
            spec.outcomes,
            config.hidden,
            gate=len(spec.outcomes) > 1,
            steered=True,
            hide_oversight=config.hide_oversight,
        )
        self.learner = Learner(
            blueprint, config, discount=spec.discount, gate_coefficient=config.gate_loss, seed=seed, device=device
        )
        self.model = OutcomeModel(spec, config.model_hidden, by_cell=config.model_by_cell, seed=seed, device=device)
        practised = profiles(spec.outcomes) if config.profiles == "all" else [(spec.target,)]
        rows = [[weights(chosen).get(name, 0.0) for name in spec.outcomes] for chosen in practised]
        self._profiles = torch.tensor(rows, device=device)  # (P, E) expert weights
        self._generator = torch.Generator(device).manual_seed(seed)
        self._steer = torch.empty(0, len(spec.outcomes), device=device)  # (B, E) who acts in each environment

    def act(self, obs: Tensor) -> Decision:
        """Act as a steered policy in some environments, as the mixture in the others."""
        if len(self._steer) != len(obs):
            self._steer = self._draw(len(obs))
        return self.learner.act(obs, self._steer)

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Fit the outcome model, infer what was not reported, learn, and draw who acts next."""
        metrics = self.model.learn(rollout)
        chances = self.model.infer(rollout)  # (T, B, K)
        lesson = self._lesson(rollout, chances)
        self._steer = self._draw(rollout.action.shape[1])
        return metrics | self.learner.update(rollout, lesson)

    def _lesson(self, rollout: Rollout, chances: Tensor) -> Lesson:
        """Reward the mixture for any end and a steered policy for the allowed ones; route by what was reached."""
        assert rollout.steer is not None
        steered = ~rollout.steer.isnan().any(dim=2)
        worth = torch.where(rollout.steer > 0, 1.0, self.config.bad_reward)
        worth[~steered] = 1.0
        reward = torch.where(rollout.terminated, (chances * worth).sum(dim=2), 0.0)
        label = self._label(rollout, chances)
        label = torch.where(steered, int(Label.UNKNOWN), label)  # a steered policy is trained whole
        keep = None if self.config.routes == "none" else labels.routes(label, len(self.spec.outcomes))
        return Lesson(reward, keep=keep, expert=label - Label.KNOWN)

    def _label(self, rollout: Rollout, chances: Tensor) -> Tensor:
        """Complete the labels, (T, B), by what is inferred with confidence."""
        assert rollout.label is not None
        label = rollout.label
        if self.config.routes == "inferred":
            chance, outcome = chances.max(dim=2)
            sure = rollout.terminated & (chance >= self.config.confidence)
            label = labels.spread(torch.where(sure, outcome + Label.KNOWN, label), rollout.done)
        if self.config.routes == "random":
            label = labels.permute(label, rollout.done, self._generator)
        return label

    def _draw(self, num_envs: int) -> Tensor:
        """Draw who acts in each environment, (B, E): expert weights, or NaN for the gate's."""
        index = torch.randint(len(self._profiles), (num_envs,), generator=self._generator, device=self._profiles.device)
        steer = self._profiles[index]
        steer[int(self.config.steered * num_envs) :] = torch.nan
        return steer

    def policies(self) -> dict[str, Policy]:
        """Return the mixture, and each expert with all others ablated."""
        policy = self.learner.policy
        return {"mixture": policy} | {name: ablate(policy, {name: 1.0}) for name in self.spec.outcomes}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of learner, outcome model and collection."""
        own = {"model": self.model.state_dict(), "steer": self._steer, "draws": self._generator.get_state()}
        return self.learner.state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.learner.load_state_dict(state)
        self.model.load_state_dict(state["model"])
        self._generator.set_state(state["draws"].cpu())
        self._steer = state["steer"]
