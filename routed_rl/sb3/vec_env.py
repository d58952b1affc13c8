"""A VecEnv of ours as one of Stable-Baselines3's.

The reward is what the world pays, unless the true one is asked for. The info of a step has
`outcome`, a name, only where the overseer reported one: `RoutedCallback` reads it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv as SB3VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv


class RoutedVecEnv(SB3VecEnv):
    """Wraps B environments; Stable-Baselines3 wants NumPy and a dict for each of them."""

    def __init__(self, env: VecEnv, *, true_reward: bool = False) -> None:
        """Wrap `env`; with `true_reward` its reward is the true one, for an upper bound."""
        self.env = env
        self._true_reward = true_reward
        self.render_mode = "rgb_array"
        self._actions = torch.zeros(0)
        obs_space = spaces.Box(-np.inf, np.inf, env.spec.obs_shape, np.float32)
        super().__init__(env.num_envs, obs_space, _action_space(env.spec))

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes everywhere."""
        return self.env.reset().cpu().numpy()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Remember the actions: (B,) integers, or (B, num_actions) numbers."""
        dtype = self.env.spec.action_dtype
        self._actions = torch.as_tensor(actions, dtype=dtype, device=self.env.device)

    def step_wait(self) -> VecEnvStepReturn:
        """Take them."""
        step = self.env.step(self._actions)
        done = (step.terminated | step.truncated).cpu().numpy()
        infos = self._infos(step, done)
        reward = step.true_reward if self._true_reward else step.reward
        return step.obs.cpu().numpy(), reward.cpu().numpy(), done, infos

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Leave the environments as they are: their seed is given when they are made."""
        return [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the wrapped environments, once for each."""
        # By its name, as Stable-Baselines3 asks for `render_mode`.
        return [getattr(self, attr_name)] * len(self._numbers(indices))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: the environments share their attributes."""
        raise ValueError(
            f"cannot set {attr_name!r} of single environments: "
            "make the environment with another Config."
        )

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Refuse: the environments have no methods of their own."""
        raise ValueError(
            f"cannot call {method_name!r} on single environments: they are stepped together."
        )

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """Return that no single environment is wrapped."""
        return [False] * len(self._numbers(indices))

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Draw each environment."""
        return [self.env.render(i) for i in range(self.num_envs)]

    def _infos(self, step: Step, done: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """Describe reports, and episodes that are done, (B,); what was unseen stays out."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        final = step.final_obs.cpu().numpy()
        truncated = step.truncated.tolist()
        reported = torch.where(step.overseen, step.reported, NOTHING).cpu().numpy()
        for i in np.flatnonzero(done):
            # Their names: `terminal_observation` bootstraps an episode that ran out of time.
            infos[i] = {"terminal_observation": final[i], "TimeLimit.truncated": truncated[i]}
        for i in np.flatnonzero(reported):
            infos[i]["outcome"] = self.env.spec.outcomes[reported[i] - 1]
        return infos

    def _numbers(self, indices: VecEnvIndices) -> list[int]:
        return list(self._get_indices(indices))


def _action_space(spec: EnvSpec) -> spaces.Space[Any]:
    if spec.continuous:
        return spaces.Box(-1.0, 1.0, (spec.num_actions,))
    if spec.action_sizes:
        return spaces.MultiDiscrete(list(spec.action_sizes))
    return spaces.Discrete(spec.num_actions)
