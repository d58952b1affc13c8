"""Filtering: learn from the segments of which all is known, and from no others.

Cloud et al. (arXiv 2410.04332), section 4.3 and appendix F, "data filtering": episodes that reached
an end nobody saw have weight 0. What is left is small, and biased towards episodes that end
nowhere.

Where only what is bad is ever reported, hardly anything is known. There it is the other filter that
is in use: what was reported is left out, and the rest learns from what the world pays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from routed_rl.algorithms.agent import SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import labels, rewards
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import names_outcome
from routed_rl.worlds.spec import EnvSpec


@dataclass(frozen=True)
class Config(LearnerConfig):
    """One network, trained on what is known."""


class Agent(SingleNetworkAgent[VisibleRollout]):
    """Learns from the true reward, with weight 0 where not all of a segment's is known."""

    remark = "It learnt only from what the overseer knows everything of."

    def __init__(
        self, spec: EnvSpec, config: LearnerConfig, *, seed: int, device: torch.device
    ) -> None:
        """Build the network from `seed`."""
        super().__init__(spec, config, seed=seed, device=device)
        if spec.one_sided:
            self.remark = "It learnt what the world pays, but for what was reported as bad."

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        """Leave out what is unknown, or one-sidedly what was reported."""
        if self.spec.one_sided:
            flagged = names_outcome(rollout.label)
            return TrainingSignal(rollout.reward, weight=1.0 - flagged.float())
        known = labels.known_segments(rollout)
        return TrainingSignal(rewards.seen(rollout), weight=known.float())
