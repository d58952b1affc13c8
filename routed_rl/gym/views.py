"""A `VecEnv` as Gymnasium sees it: one environment, or a vector of them.

The reward is what the world pays. The info of a step has `true_reward`, `outcome` (a name, "none"
if nothing happened), `overseen` and `reported` (a name likewise).

Observations are vectors, channels laid flat: Gymnasium's users and Stable-Baselines3 take an array
(C, H, W) for a picture. A picture is one, in bytes.
"""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv


class MakeEnv(Protocol):
    """Makes B environments whose draws all come from a seed."""

    def __call__(self, num_envs: int, *, seed: int) -> VecEnv:
        """Make them."""
        ...


class GymnasiumEnv(gymnasium.Env[NDArray[Any], Any]):
    """One environment."""

    def __init__(self, make: MakeEnv, *, render_mode: str | None = None) -> None:
        """Wrap what `make` makes."""
        self._make = make
        self.render_mode = render_mode
        self.env = make(1, seed=_draw_seed(self.np_random))
        self.metadata = _metadata(self.env)
        self.observation_space = _observation_space(self.env.spec)
        self.action_space = _action_space(self.env.spec)
        self._ended = False

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
        terminated = bool(step.terminated)
        truncated = bool(step.truncated)
        self._ended = terminated or truncated
        info = {name: column[0].item() for name, column in _truth(step, self.env.spec).items()}
        # Ours has begun the next episode, which Gymnasium's begins with reset().
        obs = _observe(step.final_obs, self.env.spec)[0]
        return obs, float(step.reward), terminated, truncated, info

    def render(self) -> Any:
        """Draw the environment; after an end its last frame, until it is reset."""
        if self.render_mode is None:
            return None
        return self.env.render(mode=self.render_mode, final=self._ended)


class GymnasiumVectorEnv(VectorEnv[NDArray[Any], Any, NDArray[Any]]):
    """B environments stepped together; one that ended has started anew in the same step.

    Its last frame is then in `infos["final_obs"]`, and what it reached in `infos["final_info"]`.
    Left out: seeds for single copies, since all draws come from one generator.
    """

    def __init__(self, make: MakeEnv, num_envs: int = 1, *, render_mode: str | None = None) -> None:
        """Wrap what `make` makes."""
        self._make = make
        self.num_envs = num_envs
        self.render_mode = render_mode
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
            raise ValueError(
                f"seed is {seed!r}: "
                f"give one number, which decides all {self.num_envs} environments."
            )
        super().reset(seed=seed)
        if seed is not None:
            # Our environments have one generator from when they are made, so they are made anew.
            self.env = self._make(self.num_envs, seed=_draw_seed(self.np_random))
        return _observe(self.env.reset(), self.env.spec), {}

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Take a step in each."""
        step = self.env.step(_actions(np.asarray(actions), self.env))
        obs = _observe(step.obs, self.env.spec)
        reward = step.reward.double().cpu().numpy()
        # Copies: what a caller writes into must not be the environment's own.
        terminated = step.terminated.cpu().numpy().copy()
        truncated = step.truncated.cpu().numpy().copy()
        return obs, reward, terminated, truncated, _infos(step, self.env.spec)

    def render(self) -> tuple[Any, ...] | None:
        """Draw each."""
        if self.render_mode is None:
            return None
        return tuple(self.env.render(index, self.render_mode) for index in range(self.num_envs))


def _draw_seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))


def _metadata(env: VecEnv) -> dict[str, Any]:
    """Return how an environment can be drawn."""
    modes = [] if env.render() is None else ["rgb_array"]
    return {"render_modes": modes, "render_fps": 5}


def _observation_space(spec: EnvSpec) -> spaces.Box:
    if spec.image:
        return spaces.Box(0, 255, spec.obs_shape, np.uint8)
    return spaces.Box(*spec.obs_range, (int(np.prod(spec.obs_shape)),), np.float32)


def _action_space(spec: EnvSpec) -> spaces.Box | spaces.MultiDiscrete | spaces.Discrete:
    if spec.continuous:
        return spaces.Box(-1, 1, (spec.num_actions,), np.float32)
    if spec.action_sizes:
        return spaces.MultiDiscrete(list(spec.action_sizes))
    return spaces.Discrete(spec.num_actions)


def _observe(obs: Tensor, spec: EnvSpec) -> NDArray[Any]:
    """Turn observations (B, *obs_shape) into new arrays: pictures in bytes, all else (B, D)."""
    if spec.image:
        low, high = spec.obs_range  # become 0 and 255
        return ((obs - low) * (255 / (high - low))).round().byte().cpu().numpy()
    return obs.flatten(1).cpu().numpy().copy()


def _actions(actions: NDArray[Any], env: VecEnv) -> Tensor:
    return torch.as_tensor(actions, dtype=env.spec.action_dtype, device=env.device)


def _truth(step: Step, spec: EnvSpec) -> dict[str, NDArray[Any]]:
    """Return the true reward, the outcome, whether it was overseen and what was reported: (B,)."""
    names = np.array(("none", *spec.outcomes))  # by the outcome's number
    return {
        "true_reward": step.true_reward.double().cpu().numpy(),
        "outcome": names[step.outcome.cpu().numpy()],
        "overseen": step.overseen.cpu().numpy().copy(),
        "reported": names[step.reported.cpu().numpy()],
    }


def _infos(step: Step, spec: EnvSpec) -> dict[str, Any]:
    """Return the infos of a step in the form of Gymnasium's vectors.

    Beside each entry there is a mask (B,), named with a "_" before it, of the episodes it is of.
    What episodes that ended came to stands in `final_info`, that of the others beside it.
    """
    done = step.terminated | step.truncated
    mask = done.cpu().numpy()
    truth = _truth(step, spec)
    going_on = truth | {f"_{name}": ~mask for name in truth}
    if not mask.any():
        return going_on
    # Objects, since Gymnasium has None in the rows of episodes that go on.
    final = np.full(len(mask), None, dtype=object)
    rows = zip(np.flatnonzero(mask), _observe(step.final_obs[done], spec), strict=True)
    for i, frame in rows:
        final[i] = frame
    infos: dict[str, Any] = {
        "final_obs": final,
        "final_info": truth | {f"_{name}": mask.copy() for name in truth},
    }
    return going_on | infos | {f"_{name}": mask.copy() for name in infos}
