"""Experts that practise every deployment, with rewards inferred from a handful of labels.

1. What an unlabelled episode reached is inferred from its last frame, by a model fitted on labelled ones.
2. In training each environment acts for some deployment, a set of allowed outcomes: its experts speak, with even
   weights, the others are silent. An end is worth 1 if it is allowed, else `bad_reward`. So no expert walks
   through an end that it does not seek, and one run serves every set of allowed outcomes; the good outcome's own
   is practised most.
3. An episode trains all experts that acted, by how much each had to do with its actions, and no silent one: each
   outcome settles in its expert because only that one speaks wherever the outcome is allowed and no other is.
4. The critic is told who acts.

Nothing is routed by labels, given or inferred, unless `routes` says so: it made no difference to the good outcome's
own deployment, and cost those of several outcomes, for then an episode trains one expert and not all that acted
(docs/research.md). Nor is there the paper's gate: which experts speak is for a deployment to say. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

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
    """What is practised, and how episodes are routed."""

    weight_decay: float = 1e-4
    """Weight decay of Adam."""
    practice: float = 0.25
    """Share of the environments that act for any set of outcomes; the others for the good outcome alone."""
    bad_reward: float = -1.0
    """What an end that is not allowed is worth."""
    confidence: float = 0.9
    """With routes by inferred labels: the least chance at which an inferred outcome decides a route."""
    routes: Literal["none", "label", "inferred", "random"] = "none"
    """none: an episode trains all that acted. label: one that reached an allowed end trains that outcome's expert
    alone, if it has a label. inferred: also if its label is inferred. random: labels shuffled."""
    told: bool = False
    """Put one network that is told the expert weights in the place of the experts: the control."""
    model_hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of the outcome model."""
    model_by_cell: bool = True
    """Let the outcome model look at each cell of a board with the same eyes: it needs far fewer labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("practice", "confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number from 0 to 1.")


class Agent:
    """Experts without a gate; each environment acts for some deployment."""

    sees_everything = False
    acting = "mixture"
    remark = (
        "Every row is a deployment that was practised, with rewards inferred from labels: the mixture may reach any "
        "end, each expert its own. For other sets of outcomes: evaluate.py --profiles."
    )

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the networks and the outcome model from `seed`."""
        self.spec, self.config, self.deployed = spec, config, spec.target
        blueprint = Blueprint.of(
            spec,
            spec.outcomes,
            config.hidden,
            steered=True,
            told=config.told,
            hide_oversight=config.hide_oversight,
        )
        self.learner = Learner(blueprint, config, discount=spec.discount, seed=seed, device=device)
        self.model = OutcomeModel(spec, config.model_hidden, by_cell=config.model_by_cell, seed=seed, device=device)
        rows = [
            [weights(chosen).get(name, 0.0) for name in spec.outcomes]
            for chosen in ((spec.target,), *profiles(spec.outcomes))
        ]
        self._deployments = torch.tensor(rows, device=device)  # (1 + P, E) expert weights: the target's, then all
        self._generator = torch.Generator(device).manual_seed(seed)
        self._steer = torch.empty(0, len(spec.outcomes), device=device)  # (B, E) who acts in each environment
        self.keep: Tensor | None = None  # (T, B, E + 1), whom the latest rollout trains, for those who want to look

    def act(self, obs: Tensor) -> Decision:
        """Act for the deployment of each environment."""
        if len(self._steer) != len(obs):
            self._steer = self._draw(len(obs))
        return self.learner.act(obs, self._steer)

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Fit the outcome model, infer what was not reported, learn, and draw new deployments."""
        metrics = self.model.learn(rollout)
        lesson = self._lesson(rollout, self.model.infer(rollout))
        self.keep = self._trained(rollout, lesson)
        self._steer = self._draw(rollout.action.shape[1])
        return metrics | self.learner.update(rollout, lesson)

    def _lesson(self, rollout: Rollout, chances: Tensor) -> Lesson:
        """Say what each end is worth to who acted, and whom each episode trains, from chances (T, B, K)."""
        assert rollout.steer is not None
        allowed = rollout.steer > 0
        worth = torch.where(allowed, 1.0, self.config.bad_reward)
        reward = torch.where(rollout.terminated, (chances * worth).sum(dim=2), 0.0)
        if self.config.routes == "none" or self.config.told:
            return Lesson(reward)
        label = self._label(rollout, chances)
        seeker = (label - Label.KNOWN).clamp(min=0)[:, :, None]
        label = torch.where(allowed.gather(2, seeker).squeeze(2), label, int(Label.UNKNOWN))
        return Lesson(reward, keep=labels.routes(label, len(self.spec.outcomes)))

    def _trained(self, rollout: Rollout, lesson: Lesson) -> Tensor | None:
        """Say whom each step trains, (T, B, E + 1): who acted, unless a route forbids it; None where all are one."""
        if rollout.steer is None or self.config.told:
            return None
        acted = functional.pad(rollout.steer != 0, (0, 1), value=True)
        return acted if lesson.keep is None else acted & lesson.keep

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
        """Draw the deployment of each environment, as expert weights (B, E)."""
        deployments = self._deployments
        any_of = torch.rand(num_envs, 2, generator=self._generator, device=deployments.device)
        index = 1 + (any_of[:, 1] * (len(deployments) - 1)).long()
        return deployments[torch.where(any_of[:, 0] < self.config.practice, index, 0)]

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
