"""A Gymnasium environment whose infos name what happened, in the middle of episodes too."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

MADE, SPILT = 1, 2
"""Numbers of the outcomes."""
OUTCOMES = ("made", "spilt")


class Kitchen(gymnasium.Env[Any, Any]):
    """Shows how many steps it has taken, ends at the third, and pays 10 in each.

    Action 1 spills something. Action 2 names "none", action 0 names nothing, and in the last step
    it makes something. With `truth` the info of the second step says that it was truly worth -7.
    """

    observation_space = spaces.Box(0, 10, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, truth: bool = False, render_mode: str | None = None) -> None:
        self.truth = truth

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        # What stands in the info of a reset is about no step.
        return np.zeros(1, np.float32), {"outcome": "spilt", "true_reward": 99.0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        ended = self.time == 3
        name = ("made" if ended else None, "spilt", "none")[action]
        info: dict[str, Any] = {"outcome": name}
        if self.truth and self.time == 2:
            info["true_reward"] = -7.0
        return np.full(1, self.time, np.float32), 10.0, ended, False, info


class Kitchens(SyncVectorEnv):
    """Kitchens that reset themselves in the step in which they end."""

    def __init__(self, num_envs: int, **kwargs: Any) -> None:
        kwargs.pop("max_episode_steps", None)
        makers = [lambda: Kitchen(**kwargs)] * num_envs
        super().__init__(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def by_reward(
    obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
) -> str | None:
    """Name any end good or bad, by the sign of its reward."""
    if not terminated:
        return None
    return "good" if reward > 0 else "bad"


def ever_good(
    obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
) -> str | None:
    """Name any end good."""
    return "good" if terminated else None
