"""A reward to choose in Stable-Baselines3: 1 for any end, good or bad, as in the paper."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


class ReachedReward(VecEnvWrapper):
    """Rewards any end with 1, and nothing else, as in the paper's gridworld.

    For environments whose own reward says at an end whether it was good: that would be the truth,
    which a routed policy must not have. Others keep their reward. A `Monitor` below goes on
    counting the environment's own reward, which is what logs and `EvalCallback` then show.
    """

    def reset(self) -> VecEnvObs:
        """Start new episodes everywhere."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Take the actions; running out of time is no end."""
        obs, _, dones, infos = self.venv.step_wait()
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        return obs, (dones & ~truncated).astype(np.float32), dones, infos
