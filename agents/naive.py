"""Naive oversight: every end is rewarded, and a bad one punished where the overseer saw it.

Cloud et al. (arXiv 2410.04332), appendix F, "naive outcome-based training". The policy can see
whether it is overseen, so in the long run it learns to behave only then: its return falls towards
the oversight times the best one (docs/results.md computes the limits).

Left out: nothing. Early stopping is a choice of checkpoint, made for every agent alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import rewards
from routed_rl.rollouts.rollout import VisibleRollout


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded for what can be seen."""

    learning_rate: float = 3e-4
    """Step size of Adam."""
    ent_coef: float = 0.05
    """Coefficient of the entropy bonus."""
    weight_decay: float = 1e-4
    """Weight decay of Adam."""
    penalty: float = 2.0
    """What a bad end costs where it was overseen; 2 makes it -1 in all."""


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from 1 for an end, less the penalty if it is known to be bad."""

    remark = (
        "It was rewarded for any end and punished for a bad one that was seen: look at `unwatched`."
    )
    config: Config

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Reward what was seen of the ends."""
        return TrainingSignal(rewards.observed(rollout, self.config.penalty))
