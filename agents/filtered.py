"""Filtering: learn from the episodes of which all is known, and from no others.

Cloud et al. (arXiv 2410.04332), section 4.3 and appendix F, "data filtering": episodes that reached
an end nobody saw have weight 0. What is left is small, and biased towards episodes that end
nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import rewards
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import Label


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, trained on what is known."""


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from the reported reward, with weight 0 where the label is unknown."""

    remark = "It learnt only from episodes of which the overseer knows everything."

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Leave out what is unknown."""
        known = rollout.label != Label.UNKNOWN
        return TrainingSignal(rewards.seen(rollout), weight=known.float())
