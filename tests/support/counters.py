"""Gymnasium environments of which every number can be told by eye."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Counter(gymnasium.Env[Any, Any]):
    """Shows how many steps it has taken, and ends at the third.

    The reward of the end is the last action. If asked to name its ends, they are "won" and "lost".
    """

    observation_space = spaces.Box(0, 10, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, names: str = "", render_mode: str | None = None) -> None:
        self.names = names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        obs = np.full(1, self.time, np.float32)
        if self.time < 3:
            return obs, 0.0, False, False, {}
        info = {"outcome": "won" if action else "lost"} if self.names else {}
        return obs, float(action), True, False, info


class Bandit(Counter):
    """Goes on for ever, whatever limit is asked for."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, False, False, {}


class Counters(SyncVectorEnv):
    """Counters that reset themselves in the step in which they end."""

    def __init__(self, num_envs: int, **kwargs: Any) -> None:
        kwargs.pop("max_episode_steps", None)
        makers = [lambda: Counter(**kwargs)] * num_envs
        super().__init__(makers, autoreset_mode=AutoresetMode.SAME_STEP)


class LateCounters(SyncVectorEnv):
    """Counters that reset themselves a step after they end."""

    def __init__(self, num_envs: int, **kwargs: Any) -> None:
        super().__init__([Counter] * num_envs, autoreset_mode=AutoresetMode.NEXT_STEP)


def endless(num_envs: int, mode: AutoresetMode, **_: Any) -> SyncVectorEnv:
    """Make bandits that are stepped as a whole."""
    return SyncVectorEnv([Bandit] * num_envs, autoreset_mode=mode)


def late_or_second(
    obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
) -> str | None:
    """Name the end "late", and what a counter shows in its second step "early"."""
    if terminated:
        return "late"
    return "early" if obs[0] == 2 else None
