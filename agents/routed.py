"""Gradient-routed mixture of experts: the paper's method.

Cloud et al. (arXiv 2410.04332), section 4.3. One expert an outcome, mixed by a gate. The reward is
what the world pays, since that is all that is known of every step: 1 at any end in the paper's
gridworld. A segment with a label trains only the expert of its outcome, any other everything, and
the gate learns to choose the expert of the label. What was never labelled settles in the expert
that already handles its kind ("absorption"). Deployed is the expert of the good outcome alone.

Where outcomes end episodes a segment is an episode.

Where only bad outcomes are ever reported there are two experts: that of the good outcome, and one
for all that is flagged. A flagged segment trains the second alone, any other both, or the first
alone (`unflagged`). The gate learns to tell flagged segments from all others; both kinds count as
much, however few are flagged. So does "GRAFT" route episodes with reward hacks
(shawnghu/small-rl, 2026).

Left out: the paper's gate loss on unlabelled episodes, whose coefficient is 0 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from routed_rl.algorithms.agent import ExpertsAgent
from routed_rl.algorithms.config import InferringConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.outcome_model import OutcomeModel, outcome_model
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import Label, expert_of, is_bad
from routed_rl.worlds.spec import EnvSpec

FLAGGED = "flagged"
"""The expert of all bad outcomes, where they alone are reported."""


@dataclass(frozen=True)
class Config(InferringConfig):
    """The paper's method, and the parts of it that can be switched off."""

    rollout_steps: int = 32
    """Steps taken in each environment between updates; few labels and two experts learn more
    reliably from larger batches than other agents need."""
    batch_size: int = 4096
    """Samples an optimiser step (ppo)."""
    clip_range: float = 0.1
    """How far the ratio of probabilities may go from 1 (ppo)."""
    learning_rate: float = 2.5e-3
    """Step size of Adam."""
    ent_coef: float = 0.12
    """Coefficient of the entropy bonus; a mixture that seeks one end meets the other by it."""
    weight_decay: float = 2e-4
    """Weight decay of Adam; without it the gate saturates, and an expert forgets where it is not
    chosen."""
    gate: bool = True
    """Whether a gate mixes the experts; without it each always has the same weight."""
    gate_loss: float = 0.1
    """Coefficient of the gate's loss on labelled episodes; the paper has 0.01."""
    equal_start: bool = True
    """Start with equal experts and an undecided gate, so that only labels can tell them apart."""
    routes: Literal["label", "none", "random"] = "label"
    """label: the paper's. none: every segment trains everything. random: labels shuffled among
    labelled segments, or among all where only bad outcomes are reported."""
    unflagged: Literal["all", "good"] = "all"
    """Where only bad outcomes are reported: whom a segment without a report trains, all experts or
    that of the good outcome alone."""
    infer: bool = False
    """Complete the labels by an outcome model before anything is routed by them."""
    confidence: float = 0.9
    """With infer: the least probability at which an outcome that was inferred is a label."""
    credit: Literal["segment", "episode"] = "segment"
    """What a report is about: the steps since the last one, or the whole episode, of which the
    worst report counts. Where outcomes end episodes it is the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence is {self.confidence}: give a number from 0 to 1.")
        if self.infer and self.credit == "episode":
            raise ValueError("infer and credit episode are both given: leave one of them out.")


class Agent(ExpertsAgent):
    """Experts and a gate, trained with routed gradients."""

    remark = (
        "The mixture was paid for good and bad outcomes alike, so its own return says "
        "little. An expert alone does what labels taught it: they differ if both kinds of outcome "
        "happened, and were labelled, often enough."
    )
    config: Config

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the networks from `seed`."""
        experts = (spec.target, FLAGGED) if spec.one_sided else spec.outcomes
        shape = PolicySpec.of(
            spec,
            experts,
            config.hidden,
            gate=config.gate and len(experts) > 1,  # of one expert there is no choice
            hide_oversight=config.hide_oversight,
        )
        learner = Learner(
            shape,
            config,
            discount=spec.discount,
            gate_coefficient=config.gate_loss,
            seed=seed,
            device=device,
        )
        super().__init__(spec, config, learner)
        self.model: OutcomeModel | None = None
        if config.infer:
            self.model = outcome_model(spec, config.outcome_model, seed=seed, device=device)
        # Equal, so that labels alone can tell them apart; the paper's start at random.
        if config.equal_start:
            learner.policy.torso.tie_experts()

    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Learn what the world pays, each labelled segment in the expert of its outcome."""
        metrics = {} if self.model is None else self.model.learn(rollout)
        label = self._label(rollout)
        experts = self.learner.policy.spec.experts
        routes = labels.routes(label, len(experts))  # (T, B, E + 1)
        expert = expert_of(label)  # (T, B), below 0 where nothing is known
        target = expert
        weight = None
        if self.spec.one_sided:
            if self.config.unflagged == "good":
                routes = routes & labels.routes(torch.where(expert < 0, 1, label), len(experts))
            target = torch.where((expert < 0) & (label != Label.RUNNING), 0, expert)
            weight = _even_weights(target)
        self.grad_mask = None if self.config.routes == "none" else routes
        # All that is known of every step is what the world pays: 1 at any end in the gridworld.
        signal = TrainingSignal(
            rollout.reward, grad_mask=self.grad_mask, gate_target=target, gate_weight=weight
        )
        metrics |= self.learner.update(rollout, signal)
        for k, name in enumerate(experts):
            metrics[f"routing/{name}"] = (expert == k).float().mean()
        return metrics

    def _label(self, rollout: VisibleRollout) -> Tensor:
        """Say which expert's each segment is, as a label (T, B)."""
        label = rollout.label
        ends = rollout.segment_end
        if self.config.credit == "episode":
            label = labels.credit_episodes(rollout, self.spec.outcome_rewards)
            ends = rollout.done.clone()
            ends[-1] = True  # of an episode that goes on, what was reported so far counts
        if self.model is not None:
            label = self._inferred(rollout, self.model.infer(rollout))
        if self.spec.one_sided:
            # Whatever is reported is bad, and has one expert, the second.
            label = torch.where(is_bad(label, self.spec.outcome_rewards), 2, label)
        if self.config.routes == "random":
            everywhere = self.spec.one_sided
            generator = self.learner.generator
            label = labels.shuffle_labels(label, ends, generator, everywhere=everywhere)
        return label

    def _inferred(self, rollout: VisibleRollout, probability: Tensor) -> Tensor:
        """Complete the labels, (T, B), by probabilities of outcomes (T, B, K)."""
        if self.spec.one_sided:
            # What is not taken for bad stays without a label: nobody said that it was good.
            target = torch.tensor(self.spec.outcomes.index(self.spec.target))
            probability = probability.index_fill(2, target.to(probability.device), 0.0)
        ended = self.spec.outcomes_end
        return labels.infer_labels(rollout, probability, self.config.confidence, outcomes_end=ended)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of learner and outcome model."""
        state = super().state_dict()
        return state if self.model is None else state | {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        if self.model is not None:
            self.model.load_state_dict(state["model"])


def _even_weights(target: Tensor) -> Tensor:
    """Weigh samples so that both experts' count as much in all: targets (T, B) to weights (T, B).

    The mean weight is 1 over samples with a target, if both experts have any.
    """
    counts = torch.stack([(target == k).sum() for k in range(2)])
    share = (counts / counts.sum().clamp(min=1)).clamp(min=1e-3)
    return (0.5 / share)[target.clamp(min=0)]
