"""What a world must say: `VecEnv`, and the `Step` it returns.

A world is B copies of one task, stepped together. It knows what everybody sees (observations and a
reward), the truth (another reward, and which outcomes happened), and what the overseer saw of that.
`rollouts/labels.py` keeps from the agent what the overseer did not see.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.worlds.scene import Scene
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP


class Step(NamedTuple):
    """What B environments answer to B actions. Those that ended have already been reset."""

    obs: Tensor  # (B, *obs_shape) what to act on next: after an end, a new episode's first frame
    final_obs: Tensor  # (B, *obs_shape) what the action led to: after an end, the last frame
    reward: Tensor  # (B,) float, what the world pays; everybody sees it, and it may mislead
    true_reward: Tensor  # (B,) float, what is wanted; the overseer sees it where it looks
    terminated: Tensor  # (B,) bool, the episode came to an end of its own
    truncated: Tensor  # (B,) bool, the episode ran out of time
    outcome: Tensor  # (B,) int64, the truth: k + 1 where outcome k happened in this step, else 0
    overseen: Tensor  # (B,) bool, the overseer looked: it knows what happened, or that nothing did
    reported: Tensor  # (B,) int64, what the overseer says happened; 0 where it saw nothing


class VecEnv(ABC):
    """B environments in step, with same-step auto-reset and generators of their own.

    A world must have the three attributes, `reset` and `step`. The rest is optional: as it stands
    here it says that there are no tables, no pictures and no state to save.
    """

    spec: EnvSpec
    num_envs: int
    device: torch.device

    @abstractmethod
    def reset(self) -> Tensor:
        """Start B new episodes and return their first observations (B, *obs_shape)."""

    @abstractmethod
    def step(self, actions: Tensor) -> Step:
        """Take one action in each environment; an ended one starts anew in the same step.

        Args:
            actions: (B,) int64; (B, num_actions) int64 if there are `spec.action_sizes`, or float
                if `spec.continuous`.
        """

    def model(self) -> TabularMDP | None:
        """Return the world as tables, or None where there are too many states to list."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment, or with `final` what its last action led to before any reset.

        "rgb_array" gives (H, W, 3) uint8, "ansi" a string; None where there is nothing to draw.
        """
        return None

    def scenes(self) -> list[Scene]:
        """Return a few boards to draw policies on; none if a picture would say nothing."""
        return []

    def state_dict(self) -> dict[str, Any] | None:
        """Return all that `load_state_dict` needs to continue to the same bits.

        None says that this cannot be: a run that goes on begins new episodes (`reseed`).
        """
        return None

    def reseed(self, env_steps: int) -> bool:
        """Let the next `reset` begin episodes that a run has not played yet, if this can be.

        Asked for in a run that goes on without its running episodes. Worlds that save them have no
        need of it.

        Args:
            env_steps: how many environment steps the run has taken.

        Returns:
            Whether `reset` will begin other episodes; False unless overridden.
        """
        return False

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        raise ValueError(f"{type(self).__name__} has no state: begin new episodes with reset().")
