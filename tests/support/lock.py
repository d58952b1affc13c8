"""A Gymnasium environment whose actions are pairs of whole numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium import spaces


class Lock(gymnasium.Env[Any, Any]):
    """Shows one of six pairs, and ends well if the action is that pair."""

    observation_space = spaces.Discrete(6)
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.pair = int(self.np_random.integers(6))
        return self.pair, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        opened = action.tolist() == [self.pair // 3, self.pair % 3]
        return self.pair, float(opened), True, False, {"outcome": "good" if opened else "bad"}
