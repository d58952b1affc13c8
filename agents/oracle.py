"""The oracle: the truth everywhere. An upper bound, and no method of oversight: it sees what nobody could.

Cloud et al. (arXiv 2410.04332), appendix F, "oracle": the same learner under the true reward.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl.learner import LearnerConfig, Lesson
from routed_rl.rollout import Rollout

from ._single import SingleAgent


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded with the truth."""


class Agent(SingleAgent):
    """Learns from the true reward."""

    sees_everything = True
    remark = "It saw the truth of every episode: an upper bound, not a method."

    def lesson(self, rollout: Rollout) -> Lesson:
        """Reward the truth."""
        return Lesson(rollout.reward)
