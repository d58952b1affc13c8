"""Only what was seen is rewarded: the true reward where the overseer looked, nothing elsewhere.

A rival that the paper leaves out. With the oversight hidden (--agent.hide-oversight) the policy
cannot tell where it is overseen, and what is left is the true reward, rarer by the oversight.
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
    """One network, rewarded for what was seen."""


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from the true reward where it is known, and from 0 elsewhere."""

    remark = "It was rewarded only for what was seen: look at `unwatched`."

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Reward what was seen."""
        return TrainingSignal(rewards.seen(rollout))
