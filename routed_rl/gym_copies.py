"""Copies of a Gymnasium environment that are stepped together, and their settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import yaml
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from routed_rl.config import UserError
from routed_rl.env import check_names
from routed_rl.loading import load_module
from routed_rl.oversight import OversightConfig

HORIZON = 1000
"""Steps after which an episode is cut off where nothing else says so: evaluation needs every episode to end."""
OutcomeFn = Callable[[Any, float, bool, bool, dict[str, Any]], str | None]
"""(obs, reward, terminated, truncated, info), as `step` gave them -> the outcome that was reached, or None."""

_MODES = (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)


@dataclass(frozen=True)
class Config(OversightConfig):
    """A Gymnasium environment's arguments, its outcomes, and how much is overseen."""

    kwargs: tuple[str, ...] = ()
    """Arguments for gymnasium.make, as key=value; a value is read as in yaml."""
    outcomes: tuple[str, ...] = ("good", "bad")
    """Names of the ends; the first is the good one."""
    outcome_fn: str | None = None
    """What names the outcomes, as module:function or file.py:function of what a step returned."""
    horizon: int | None = None
    """Steps after which an episode is cut off; the environment's own limit unless given."""
    discount: float = 0.99
    """Discount per step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.arguments
        if not self.outcomes or len(set(self.outcomes)) < len(self.outcomes):
            raise ValueError(f"outcomes are {self.outcomes}: give at least one name, each once.")
        check_names(self.outcomes)
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}: it must be above 0.")
        if not 0.0 <= self.discount <= 1.0:
            raise ValueError(f"discount is {self.discount}: give a number from 0 to 1.")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `kwargs`, read."""
        for pair in self.kwargs:
            if "=" not in pair:
                raise ValueError(f"cannot read kwargs {pair!r}: write key=value, such as is_slippery=false.")
        return {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in self.kwargs)}


class _Named(gym.Wrapper[Any, Any, Any, Any]):
    """Lets a person's function name the outcome of each step."""

    def __init__(self, env: gym.Env[Any, Any], outcome: OutcomeFn) -> None:
        super().__init__(env)
        self._outcome = outcome

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        name = self._outcome(obs, float(reward), terminated, truncated, info)
        return obs, reward, terminated, truncated, info | {"outcome": name}


def vectorise(registered: Registered, config: Config, num_envs: int) -> VectorEnv[Any, Any, Any]:
    """Make B copies that are stepped together, by the environment's own vector entry point or one after the other.

    Its own can be used if it tells the last frame of an episode that ended; to reset a step late it does not.

    Raises:
        UserError: if that cannot be.
    """
    own = registered.vector_entry_point
    mode = getattr(load_env_creator(own) if isinstance(own, str) else own, "metadata", {}).get("autoreset_mode")
    try:
        if own is not None and config.outcome_fn is None and (mode in _MODES or registered.entry_point is None):
            limit = {} if config.horizon is None else {"max_episode_steps": config.horizon}
            vec = gym.make_vec(registered, num_envs, "vector_entry_point", **limit, **config.arguments)
            if vec.metadata.get("autoreset_mode") not in _MODES:
                raise UserError(f"{registered.id} resets a step late: let its autoreset_mode be SAME_STEP or DISABLED.")
            return vec
        if registered.entry_point is None:
            raise UserError(f"{registered.id} is stepped as a whole: let it name outcomes itself, in info['outcome'].")
        return SyncVectorEnv([_maker(registered, config)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)
    except (gym.error.Error, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot make {registered.id} ({reason}): see --env.kwargs.") from error


def _maker(registered: Registered, config: Config) -> Callable[[], gym.Env[Any, Any]]:
    """Return what makes one copy."""
    creator = registered.entry_point
    creator = load_env_creator(creator) if isinstance(creator, str) else creator
    drawn = "rgb_array" in getattr(creator, "metadata", {}).get("render_modes", ())
    arguments = ({"render_mode": "rgb_array"} if drawn else {}) | config.arguments
    limit = config.horizon or registered.max_episode_steps or HORIZON
    outcome = None if config.outcome_fn is None else _function(config.outcome_fn)

    def one() -> gym.Env[Any, Any]:
        env = gym.make(registered, limit, disable_env_checker=True, **arguments)
        return env if outcome is None else _Named(env, outcome)

    return one


def limit_of(registered: Registered, vec: VectorEnv[Any, Any, Any]) -> int:
    """Return the environment's own horizon; MiniGrid's stands in an attribute."""
    own = vec.envs[0].unwrapped if isinstance(vec, SyncVectorEnv) else vec
    return registered.max_episode_steps or min(getattr(own, "max_steps", HORIZON), HORIZON)


def _function(where: str) -> OutcomeFn:
    """Load what is named as module:function.

    Raises:
        UserError: if it is not there.
    """
    module, _, name = where.rpartition(":")
    function: Any = getattr(load_module(module), name, None) if module else None
    if function is None:
        raise UserError(f"there is no function {where!r}: write module:function or file.py:function.")
    return function
