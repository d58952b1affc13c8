"""Gradient-routed mixture of experts: the paper's method.

Cloud et al. (arXiv 2410.04332), section 4.3. One expert an outcome, mixed by a gate. Any end is rewarded
with 1, since that is all that is known of every episode. An episode with a label trains only the expert of
its outcome, any other everything, and the gate learns to choose the expert of the label. What was never
labelled settles in the expert that already handles its kind ("absorption"). Deployed is the expert of the
good outcome alone.

Left out: the paper's gate loss on unlabelled episodes, whose coefficient is 0 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from routed_rl import labels, rewards
from routed_rl.env import EnvSpec
from routed_rl.labels import Label
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Blueprint, Policy
from routed_rl.rollout import Decision, Rollout
from routed_rl.steering import ablate


@dataclass(frozen=True)
class Config(LearnerConfig):
    """The paper's method, and the parts of it that can be switched off."""

    learning_rate: float = 3e-4
    """Step size of Adam."""
    entropy: float = 0.12
    """Coefficient of the entropy bonus; a mixture that learnt to seek one end first meets the other by it."""
    weight_decay: float = 1e-4
    """Weight decay of Adam; without it the gate saturates, and an expert forgets where the gate chose another."""
    gate: bool = True
    """Whether a gate mixes the experts; without it each always has weight 1/E."""
    gate_loss: float = 0.1
    """Coefficient of the gate's loss on labelled episodes."""
    equal_start: bool = True
    """Start with equal experts and an undecided gate, so that only labels can tell the experts apart."""
    routes: Literal["label", "none", "random"] = "label"
    """label: the paper's. none: every episode trains everything. random: labels shuffled among labelled episodes."""


class Agent:
    """Experts and a gate, trained with routed gradients."""

    sees_everything = False
    acting = "mixture"
    remark = (
        "The mixture was rewarded for reaching any end, good or bad, so its own return says little. An expert alone "
        "does what labels taught it: they differ if both kinds of end were reached, and labelled, often enough."
    )

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the networks from `seed`."""
        self.spec, self.config, self.deployed = spec, config, spec.target
        blueprint = Blueprint.of(
            spec,
            spec.outcomes,
            config.hidden,
            gate=config.gate and len(spec.outcomes) > 1,
            hide_oversight=config.hide_oversight,
        )
        self.learner = Learner(
            blueprint, config, discount=spec.discount, gate_coefficient=config.gate_loss, seed=seed, device=device
        )
        self.keep: Tensor | None = None  # (T, B, E + 1), the routes of the latest rollout, for those who want to look
        if config.equal_start:
            self.learner.policy.torso.equalise()

    def act(self, obs: Tensor) -> Decision:
        """Act as the mixture."""
        return self.learner.act(obs)

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Learn to reach any end, each labelled episode in the expert of its outcome."""
        assert rollout.label is not None
        label = rollout.label
        if self.config.routes == "random":
            label = labels.permute(label, rollout.done, self.learner.generator)
        self.keep = None if self.config.routes == "none" else labels.routes(label, len(self.spec.outcomes))
        lesson = Lesson(rewards.reached(rollout), keep=self.keep, expert=label - Label.KNOWN)
        metrics = self.learner.update(rollout, lesson)
        for k, name in enumerate(self.spec.outcomes):
            metrics[f"routing/{name}"] = (label == Label.KNOWN + k).float().mean()
        return metrics

    def policies(self) -> dict[str, Policy]:
        """Return the mixture, and each expert with all others ablated."""
        policy = self.learner.policy
        return {"mixture": policy} | {name: ablate(policy, {name: 1.0}) for name in self.spec.outcomes}

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state."""
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.learner.load_state_dict(state)
