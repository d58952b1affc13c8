"""Naive oversight: what the world pays, and a penalty where the overseer saw something bad.

Cloud et al. (arXiv 2410.04332), appendix F, "naive outcome-based training". The policy can see
whether it is overseen, so in the long run it learns to behave only then: its return falls towards
the oversight times the best one (docs/results.md computes the limits).

Left out: nothing. Early stopping is a choice of checkpoint, made for every agent alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig, check_recall
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import rewards
from routed_rl.rollouts.rollout import VisibleRollout


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded for what can be seen."""

    ent_coef: float = 0.05
    """Coefficient of the entropy bonus."""
    weight_decay: float = 1e-4
    """Weight decay of Adam."""
    penalty: float = 2.0
    """What a bad outcome costs where it was reported; 2 makes a ghost -1 in all."""
    recall: float = 1.0
    """The share of bad outcomes that is assumed to be reported. The penalty is divided by it: so
    its expectation is right where what is reported is drawn at random, and seen or not does not
    show."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_recall(self.recall)


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from what the world pays, less the penalty for what was reported and is bad."""

    remark = (
        "It was paid by the world and punished for what was seen to be bad: look at `unwatched`."
    )
    config: Config

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Punish what was seen to be bad."""
        penalty = self.config.penalty / self.config.recall
        return TrainingSignal(rewards.observed(rollout, penalty, self.spec.outcome_rewards))
