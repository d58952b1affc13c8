"""Our environments as Gymnasium's: `gymnasium.make("routed_rl.gym_view:routed_rl/gridworld-v0", oversight=0.3)`.

Importing this file registers every environment that has a name, as `routed_rl/NAME-v0`, for `gymnasium.make` and
`gymnasium.make_vec`; the fields of its `Config` are keyword arguments. The reward is the truth. The info of a step
that ended an episode has `outcome` (a name, "none" if nothing was reached), `overseen` and `reported` (likewise).

Observations are vectors, planes laid flat: Gymnasium's users and Stable-Baselines3 take an array (C, H, W) for a
picture. A picture is one, in bytes. Left out: seeds for single copies of a vector environment, since all draws of one
come from one generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.config import nearest
from routed_rl.env import EnvSpec, Step, VecEnv
from routed_rl.plugins import Plugins


class MakeEnv(Protocol):
    """Makes B environments whose draws all come from a seed."""

    def __call__(self, num_envs: int, *, seed: int) -> VecEnv:
        """Make them."""
        ...


class GymEnv(gymnasium.Env[NDArray[Any], Any]):
    """One environment."""

    def __init__(self, make: MakeEnv, *, render_mode: str | None = None) -> None:
        """Wrap what `make` makes."""
        self._make, self.render_mode = make, render_mode
        self.env = make(1, seed=_draw_seed(self.np_random))
        self.metadata, self._ended = _metadata(self.env), False
        self.observation_space, self.action_space = _observation_space(self.env.spec), _action_space(self.env.spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start a new episode, from a new generator if there is a seed."""
        super().reset(seed=seed)
        if seed is not None:
            self.env = self._make(1, seed=_draw_seed(self.np_random))
        self._ended = False
        return _observe(self.env.reset(), self.env.spec)[0], {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Take a step."""
        step = self.env.step(_actions(np.asarray(action)[None], self.env))
        terminated, truncated = bool(step.terminated), bool(step.truncated)
        info = {name: column[0].item() for name, column in _ends(step, self.env.spec).items()}
        obs = _observe(step.final_obs, self.env.spec)[0]
        self._ended = terminated or truncated
        return obs, float(step.reward), terminated, truncated, info if self._ended else {}

    def render(self) -> Any:
        """Draw the environment; after an end its last frame, until it is reset."""
        return None if self.render_mode is None else self.env.render(mode=self.render_mode, final=self._ended)


class GymVectorEnv(VectorEnv[NDArray[Any], Any, NDArray[Any]]):
    """B environments stepped together; one that ended has started anew in the same step.

    Its last frame is then in `infos["final_obs"]`, and what it reached in `infos["final_info"]`.
    """

    def __init__(self, make: MakeEnv, num_envs: int = 1, *, render_mode: str | None = None) -> None:
        """Wrap what `make` makes."""
        self._make, self.num_envs, self.render_mode = make, num_envs, render_mode
        self.env = make(num_envs, seed=_draw_seed(self.np_random))
        self.metadata = _metadata(self.env) | {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = _observation_space(self.env.spec)
        self.single_action_space = _action_space(self.env.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new episodes everywhere, from a new generator if there is a seed."""
        if seed is not None and not isinstance(seed, int):
            raise ValueError(f"seed is {seed!r}: give one number, which decides all {self.num_envs} environments.")
        super().reset(seed=seed)
        if seed is not None:
            self.env = self._make(self.num_envs, seed=_draw_seed(self.np_random))
        return _observe(self.env.reset(), self.env.spec), {}

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take a step in each."""
        step, spec = self.env.step(_actions(np.asarray(actions), self.env)), self.env.spec
        terminated, truncated = step.terminated.cpu().numpy(), step.truncated.cpu().numpy()
        done = terminated | truncated
        infos: dict[str, Any] = {}
        if done.any():
            final = np.full(self.num_envs, None, dtype=object)
            for i, frame in zip(
                np.flatnonzero(done), _observe(step.final_obs[step.terminated | step.truncated], spec), strict=True
            ):
                final[i] = frame
            ends = _ends(step, spec)
            infos = {"final_obs": final, "final_info": ends | {f"_{name}": done.copy() for name in ends}}
            infos |= {f"_{name}": done.copy() for name in infos}
        reward = step.reward.double().cpu().numpy()
        return _observe(step.obs, spec), reward, terminated.copy(), truncated.copy(), infos

    def render(self) -> tuple[Any, ...] | None:
        """Draw each."""
        if self.render_mode is None:
            return None
        return tuple(self.env.render(index, self.render_mode) for index in range(self.num_envs))


def make_env(name: str, *, render_mode: str | None = None, device: str = "cpu", **settings: Any) -> GymEnv:
    """Make one environment by its name; `settings` are fields of its Config."""
    return GymEnv(_maker(name, device, settings), render_mode=render_mode)


def make_vector_env(
    name: str, num_envs: int = 1, *, render_mode: str | None = None, device: str = "cpu", **settings: Any
) -> GymVectorEnv:
    """Make environments by their name; `settings` are fields of their Config."""
    return GymVectorEnv(_maker(name, device, settings), num_envs, render_mode=render_mode)


def _maker(name: str, device: str, settings: Mapping[str, Any]) -> MakeEnv:
    """Return what makes the environments of a name.

    Raises:
        ValueError: if a setting is unknown or wrong.
    """
    module = Plugins().load("envs", name)
    known = [field.name for field in fields(module.Config)]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}. {nearest(setting, known)}")
    config = module.Config(**settings)

    def make(num_envs: int, *, seed: int) -> VecEnv:
        return module.make(config, num_envs, seed=seed, device=torch.device(device))

    return make


def _metadata(env: VecEnv) -> dict[str, Any]:
    """Say how an environment can be drawn."""
    return {"render_modes": [] if env.render() is None else ["rgb_array"], "render_fps": 5}


def _observation_space(spec: EnvSpec) -> spaces.Box:
    if spec.image:
        return spaces.Box(0, 255, spec.obs_shape, np.uint8)
    return spaces.Box(*spec.obs_range, (int(np.prod(spec.obs_shape)),), np.float32)


def _action_space(spec: EnvSpec) -> spaces.Box | spaces.Discrete:
    return spaces.Box(-1, 1, (spec.num_actions,), np.float32) if spec.continuous else spaces.Discrete(spec.num_actions)


def _observe(obs: Tensor, spec: EnvSpec) -> NDArray[Any]:
    """Turn observations (B, *obs_shape) into arrays of their own: pictures in bytes, all else (B, D)."""
    if spec.image:
        low, high = spec.obs_range
        return ((obs - low) * (255 / (high - low))).round().byte().cpu().numpy()
    return obs.flatten(1).cpu().numpy().copy()


def _actions(actions: NDArray[Any], env: VecEnv) -> Tensor:
    return torch.as_tensor(actions, dtype=torch.float32 if env.spec.continuous else torch.int64, device=env.device)


def _ends(step: Step, spec: EnvSpec) -> dict[str, NDArray[Any]]:
    """Say what was reached, whether that was seen and what the overseer says it was."""
    names = np.array(("none", *spec.outcomes))
    outcome, reported = (numbers.cpu().numpy() for numbers in (step.outcome, step.reported))
    return {"outcome": names[outcome], "overseen": step.overseen.cpu().numpy().copy(), "reported": names[reported]}


def _draw_seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))


for _name in Plugins().names("envs"):
    gymnasium.register(
        f"routed_rl/{_name}-v0",
        entry_point=f"{__name__}:make_env",
        vector_entry_point=f"{__name__}:make_vector_env",
        kwargs={"name": _name},
    )
