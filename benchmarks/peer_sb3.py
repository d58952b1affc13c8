"""A peer of `bench.py`: a callback that stops PPO of Stable-Baselines3, and SBX's, at a return."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor


class UntilGoal(BaseCallback):
    """Evaluates before each rollout, exactly, and stops at the goal; keeps the time of the rest."""

    def __init__(self, goal: float, evaluate: Callable[[Tensor], float], frames: Tensor) -> None:
        """Stop at a return.

        Args:
            goal: to reach.
            evaluate: the exact return of action probabilities (S, A).
            frames: what is seen in each state.
        """
        super().__init__()
        self.goal = goal
        self.best = -1.0
        self.seconds = 0.0
        self._evaluate = evaluate
        self._frames = frames

    def _on_training_start(self) -> None:
        self._began = time.perf_counter()

    def _on_rollout_start(self) -> None:
        self.seconds += time.perf_counter() - self._began
        self.best = max(self.best, self._evaluate(self._probabilities()))
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        return self.best < self.goal

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        """Return the policy's action probabilities in every state, (S, A)."""
        policy: Any = self.model.policy
        if hasattr(policy, "actor_state"):  # SBX's
            actor = policy.actor_state
            distribution = actor.apply_fn(actor.params, self._frames.flatten(1).numpy())
            return torch.tensor(np.asarray(distribution.probs_parameter()))
        parts = self._frames.split(8192)
        return torch.cat([policy.get_distribution(part).distribution.probs for part in parts])
