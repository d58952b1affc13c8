"""Our environments as Gymnasium's.

`gymnasium.make("routed_rl.gym.to_gym:routed_rl/gridworld-v0", oversight=0.3)`. Importing this file
registers every environment that has a name, as `routed_rl/NAME-v0`, for `gymnasium.make` and
`gymnasium.make_vec`. The fields of its `Config` are keyword arguments. `views` says what rewards,
infos and observations are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import gymnasium
import torch

from routed_rl.gym.views import GymnasiumEnv, GymnasiumVectorEnv, MakeEnv
from routed_rl.registry import Registry
from routed_rl.utils.errors import nearest
from routed_rl.worlds.vec_env import VecEnv

__all__ = ["GymnasiumEnv", "GymnasiumVectorEnv", "MakeEnv", "make_env", "make_vector_env"]


def make_env(
    name: str, *, render_mode: str | None = None, device: str = "cpu", **settings: Any
) -> GymnasiumEnv:
    """Make one environment by its name; `settings` are fields of its Config."""
    return GymnasiumEnv(_maker(name, device, settings), render_mode=render_mode)


def make_vector_env(
    name: str,
    num_envs: int = 1,
    *,
    render_mode: str | None = None,
    device: str = "cpu",
    **settings: Any,
) -> GymnasiumVectorEnv:
    """Make environments by their name; `settings` are fields of their Config."""
    return GymnasiumVectorEnv(_maker(name, device, settings), num_envs, render_mode=render_mode)


def _maker(name: str, device: str, settings: Mapping[str, Any]) -> MakeEnv:
    """Return what makes the environments of a name.

    Raises:
        ValueError: if a setting is unknown or wrong.
    """
    module = Registry().load("envs", name)
    known = [field.name for field in fields(module.Config)]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}. {nearest(setting, known)}")
    config = module.Config(**settings)

    def make(num_envs: int, *, seed: int) -> VecEnv:
        return module.make(config, num_envs, seed=seed, device=torch.device(device))

    return make


for _name in Registry().names("envs"):
    gymnasium.register(
        f"routed_rl/{_name}-v0",
        entry_point=f"{__name__}:make_env",
        vector_entry_point=f"{__name__}:make_vector_env",
        kwargs={"name": _name},
    )
