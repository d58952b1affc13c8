"""Filtering: learn from the episodes of which all is known, and from no others.

Cloud et al. (arXiv 2410.04332), section 4.3 and appendix F, "data filtering": episodes that reached an end nobody
saw have weight 0. What is left is small, and biased towards episodes that end nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl import rewards
from routed_rl.labels import Label
from routed_rl.learner import LearnerConfig, Lesson
from routed_rl.rollout import Rollout

from ._single import SingleAgent


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, trained on what is known."""


class Agent(SingleAgent):
    """Learns from the reported reward, with weight 0 where the label is unknown."""

    remark = "It learnt only from episodes of which the overseer knows everything."

    def lesson(self, rollout: Rollout) -> Lesson:
        """Leave out what is unknown."""
        assert rollout.label is not None
        return Lesson(rewards.seen(rollout), weight=(rollout.label != Label.UNKNOWN).float())
