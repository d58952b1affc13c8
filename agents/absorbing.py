"""Experts that practise every deployment, with rewards inferred from a handful of labels.

1. What happened where nobody looked is inferred from frames, by a model of those that were seen.
2. In training each environment acts for some deployment, a set of allowed outcomes: its experts
   have even weights, the others none. An end is worth 1 if it is allowed, else `bad_reward`; where
   outcomes do not end episodes, what is not allowed costs something of what the world pays. So no
   expert walks through an end that it does not seek, and one run serves every set of allowed
   outcomes; the good outcome's own is practised most.
3. An episode trains all experts that acted, by how much each had to do with its actions, and no
   other: each outcome settles in its expert because only that one acts wherever the outcome is
   allowed and no other is.
4. The critic is told who acts.

Nothing is routed by labels, given or inferred, unless `routes` says so: it made no difference to
the good outcome's own deployment, and cost those of several outcomes, for then an episode trains
one expert and not all that acted (docs/earlier.md). Nor is there the paper's gate: which experts
act is for a deployment to say. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from routed_rl.algorithms.agent import ExpertsAgent
from routed_rl.algorithms.config import InferringConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.outcome_model import outcome_model
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import profile_weights, profiles
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Decision, VisibleRollout
from routed_rl.utils import ranks
from routed_rl.worlds.outcomes import Label, expert_of
from routed_rl.worlds.spec import EnvSpec


@dataclass(frozen=True)
class Config(InferringConfig):
    """What is practised, and how episodes are routed."""

    weight_decay: float = 1e-4
    """Weight decay of Adam."""
    practice: float = 0.25
    """Share of the environments that act for any set of outcomes; the rest for the good one."""
    bad_reward: float = -1.0
    """What an end that is not allowed is worth. Where outcomes do not end episodes, one that is not
    allowed costs this, or what it truly does if it is bad."""
    confidence: float = 0.9
    """With routes by inferred labels: the least probability at which an outcome decides a route."""
    routes: Literal["none", "label", "inferred", "random"] = "none"
    """none: an episode trains all that acted. label: one that reached an allowed end trains that
    outcome's expert alone, if it has a label. inferred: also if its label is inferred. random:
    labels shuffled."""
    conditioned: bool = False
    """Put one network, conditioned on the expert weights, in the experts' place: the control."""
    model_by_cell: bool = True
    """Let the outcome model look at each cell of a board with the same network: it needs fewer
    labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("practice", "confidence"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}: give a number from 0 to 1.")


class Agent(ExpertsAgent):
    """Experts without a gate; each environment acts for some deployment."""

    remark = (
        "Every row is a deployment that was practised, with rewards inferred from labels: the "
        "mixture may reach any end, each expert its own. For other sets of outcomes: evaluate.py "
        "--profiles."
    )
    config: Config

    def __init__(self, spec: EnvSpec, config: Config, *, seed: int, device: torch.device) -> None:
        """Build the networks and the outcome model from `seed`."""
        shape = PolicySpec.of(
            spec,
            spec.outcomes,
            config.hidden,
            steered=True,
            conditioned=config.conditioned,
            hide_oversight=config.hide_oversight,
        )
        learner = Learner(shape, config, discount=spec.discount, seed=seed, device=device)
        super().__init__(spec, config, learner)
        self.model = outcome_model(spec, config.outcome_model, seed=seed, device=device)
        sets = [(spec.target,), *profiles(spec.outcomes)]
        rows = [
            [profile_weights(chosen).get(name, 0.0) for name in spec.outcomes] for chosen in sets
        ]
        self._deployments = torch.tensor(rows, device=device)  # (1 + P, E): the target's, then all
        self._generator = torch.Generator(device).manual_seed(seed)
        # (B, E): the expert weights of each environment's deployment.
        self._expert_weights = torch.empty(0, len(spec.outcomes), device=device)

    def act(self, obs: Tensor) -> Decision:
        """Act for the deployment of each environment."""
        num_envs = len(obs) * ranks.count()
        if len(self._expert_weights) != num_envs:
            self._expert_weights = self._draw(num_envs)
        return self.learner.act(obs, ranks.own(self._expert_weights))

    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Fit the outcome model, infer what was not reported, learn, and draw new deployments."""
        metrics = self.model.learn(rollout)
        signal = self._training_signal(rollout, self.model.infer(rollout))
        self.grad_mask = self._trained(rollout, signal)
        self._expert_weights = self._draw(rollout.action.shape[1])
        return metrics | self.learner.update(rollout, signal)

    def _training_signal(self, rollout: VisibleRollout, probability: Tensor) -> TrainingSignal:
        """Say what each end is worth to who acted, and whom each episode trains.

        Args:
            rollout: T steps of B environments.
            probability: (T, B, K) of each outcome.
        """
        assert rollout.expert_weights is not None
        allowed = rollout.expert_weights > 0  # (T, B, E), an expert for each outcome
        reward = self._worth(rollout, probability, allowed)
        if self.config.routes == "none" or self.config.conditioned:
            return TrainingSignal(reward)
        label = self._label(rollout, probability)
        # An end that was not allowed is nobody's to learn alone: it trains all that acted.
        seeker = expert_of(label).clamp(min=0)[:, :, None]
        was_allowed = allowed.gather(2, seeker).squeeze(2)
        label = torch.where(was_allowed, label, int(Label.UNKNOWN))
        return TrainingSignal(reward, grad_mask=labels.routes(label, len(self.spec.outcomes)))

    def _worth(self, rollout: VisibleRollout, probability: Tensor, allowed: Tensor) -> Tensor:
        """Say what each step is worth to who acted, (T, B).

        Args:
            rollout: T steps of B environments.
            probability: (T, B, K) that each outcome happened.
            allowed: (T, B, K) bool, whether each is allowed to who acted.
        """
        bad = self.config.bad_reward
        if not self.spec.outcomes_end:
            truly = torch.tensor(self.spec.outcome_rewards, device=probability.device)  # (K,)
            cost = torch.where(truly < 0, truly, bad)
            # What is allowed comes with what the world pays, and adds nothing to it.
            return rollout.reward + (probability * torch.where(allowed, 0.0, cost)).sum(dim=2)
        value = torch.where(allowed, 1.0, bad)
        # The expected value of an end, sum_k P(k) value_k.
        return torch.where(rollout.terminated, (probability * value).sum(dim=2), rollout.reward)

    def _trained(self, rollout: VisibleRollout, signal: TrainingSignal) -> Tensor | None:
        """Say whom each step trains, (T, B, E + 1): who acted, unless a route forbids it."""
        if rollout.expert_weights is None or self.config.conditioned:
            return None
        # (T, B, E + 1): there is no gate, but the log has a column for one.
        acted = functional.pad(rollout.expert_weights != 0, (0, 1), value=True)
        return acted if signal.grad_mask is None else acted & signal.grad_mask

    def _label(self, rollout: VisibleRollout, probability: Tensor) -> Tensor:
        """Complete the labels, (T, B), by what is inferred with confidence."""
        label = rollout.label
        if self.config.routes == "inferred":
            ended = self.spec.outcomes_end
            confidence = self.config.confidence
            label = labels.infer_labels(rollout, probability, confidence, outcomes_end=ended)
        if self.config.routes == "random":
            label = labels.shuffle_labels(label, rollout.segment_end, self._generator)
        return label

    def _draw(self, num_envs: int) -> Tensor:
        """Draw the deployment of each environment, as expert weights (B, E)."""
        deployments = self._deployments
        uniform = torch.rand(num_envs, 2, generator=self._generator, device=deployments.device)
        any_set = 1 + (uniform[:, 1] * (len(deployments) - 1)).long()
        practises = uniform[:, 0] < self.config.practice
        return deployments[torch.where(practises, any_set, 0)]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of learner, outcome model and collection."""
        own = {
            "model": self.model.state_dict(),
            "expert_weights": self._expert_weights,
            "draws": self._generator.get_state(),
        }
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self.model.load_state_dict(state["model"])
        self._generator.set_state(state["draws"].cpu())
        # Checkpoints of before version 0.2 call the weights "steer".
        weights = state["expert_weights"] if "expert_weights" in state else state["steer"]
        self._expert_weights = weights
