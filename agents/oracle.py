"""The oracle: the truth everywhere. An upper bound, and no method of oversight.

Cloud et al. (arXiv 2410.04332), appendix F, "oracle": the same learner under the true reward.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts.rollout import Rollout


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded with the truth."""


class Agent(SingleNetworkAgent[Rollout]):
    """Learns from the true reward."""

    sees_everything = True
    remark = "It saw the truth of every episode: an upper bound, not a method."

    def training_signal(self, rollout: Rollout) -> TrainingSignal:
        """Reward the truth."""
        return TrainingSignal(rollout.true_reward)
