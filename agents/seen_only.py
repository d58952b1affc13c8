"""Only what was seen is rewarded: the reported truth at overseen ends, nothing at all others.

A rival that the paper leaves out. With the oversight plane hidden (--agent.hide-oversight) the policy cannot
tell where it is watched, and what is left is the true reward, rarer by the oversight.
"""

from __future__ import annotations

from dataclasses import dataclass

from routed_rl import rewards
from routed_rl.learner import LearnerConfig, Lesson
from routed_rl.rollout import Rollout

from ._single import SingleAgent


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, rewarded for what was seen."""


class Agent(SingleAgent):
    """Learns from the reported reward where there is one, and 0 elsewhere."""

    remark = "It was rewarded only for ends that were seen: look at `unwatched`."

    def lesson(self, rollout: Rollout) -> Lesson:
        """Reward overseen ends."""
        return Lesson(rewards.seen(rollout))
