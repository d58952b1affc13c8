"""Copies of a Gymnasium environment that are stepped together."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from functools import cache
from numbers import Real
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import FrameStackObservation
from tqdm import tqdm

from routed_rl.gym.config import Config
from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import load_function

HORIZON = 1000
"""Steps after which an episode is cut off if nothing else says when: evaluation needs an end."""
LIMIT_RESETS = 10
"""Episodes of which the longest limit is taken: in BabyAI it follows from the instruction."""
OutcomeFn = Callable[[Any, float, bool, bool, dict[str, Any]], str | None]
"""What `step` gave (obs, reward, terminated, truncated, info) -> name of the outcome, or None."""

_LONGEST_TEXT = 1000
"""Characters that a text is said to have at most; nothing depends on it."""

_MODES = (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
"""How vector environments may reset. With NEXT_STEP an action would be lost after every end."""


class _OutcomeNamer(gym.Wrapper[Any, Any, Any, Any]):
    """Lets a person's function name the outcome of each step."""

    def __init__(self, env: gym.Env[Any, Any], outcome_fn: OutcomeFn) -> None:
        super().__init__(env)
        self._outcome_fn = outcome_fn

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        name = self._outcome_fn(obs, float(reward), terminated, truncated, info)
        return obs, reward, terminated, truncated, info | {"outcome": name}


class _Texts(gym.Wrapper[Any, Any, Any, Any]):
    """Says of texts that they are: Gymnasium cannot stack those of MiniGrid's own space."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = _with_texts(env.observation_space)


def _with_texts(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Put Text in the place of every space whose samples are texts."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _with_texts(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([_with_texts(part) for part in space.spaces])
    return spaces.Text(_LONGEST_TEXT) if isinstance(space.sample(), str) else space


@cache
def say_once(line: str) -> None:
    """Write a line on stderr; a run makes its environments several times, and says it once."""
    tqdm.write(line, file=sys.stderr)  # above a bar, if there is one


def vectorise(
    registered: Registered, config: Config, num_envs: int, limit: int
) -> VectorEnv[Any, Any, Any]:
    """Make B copies that are stepped together, or one after the other.

    The environment's own vector entry point is used if it gives the last frame of an episode that
    ended; one that resets a step late does not.

    Args:
        registered: how Gymnasium makes one.
        config: its arguments.
        num_envs: how many copies, B.
        limit: steps after which a copy is truncated; one with its own vector entry point keeps a
            limit by itself.

    Raises:
        UserError: if that cannot be.
    """
    as_a_whole = _steps_as_a_whole(registered, config)
    try:
        if as_a_whole:
            return _own_vectors(registered, config, num_envs)
        if registered.entry_point is None:
            remedy = "let it name outcomes itself, in info['outcome']."
            if config.outcome_fn is None:
                remedy = "let it stack frames itself, without --env.frame-stack."
            raise UserError(f"{registered.id} is stepped as a whole: {remedy}")
        # Never reset by Gymnasium itself: a step can then say when an episode ends.
        makers = [_maker(registered, config, limit)] * num_envs
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)
    except (gym.error.Error, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot make {registered.id} ({reason}): see --env.kwargs.") from error


def limit_of(registered: Registered, config: Config) -> int:
    """Return after how many steps an episode is cut off.

    That is `config.horizon`, else the limit it is registered with, else its attribute `max_steps`,
    which MiniGrid has, else `HORIZON`.
    """
    for given in (config.horizon, registered.max_episode_steps):
        if given is not None and given > 0:
            return given
    # A copy of its own: to reset those that are played could change their episodes.
    spare = vectorise(registered, config, 1, HORIZON)
    try:
        return _limit_by_attribute(registered.id, spare)
    finally:
        spare.close()


def _limit_by_attribute(name: str, spare: VectorEnv[Any, Any, Any]) -> int:
    """Return the greatest `max_steps` of a few episodes, or say that there is none."""
    one = copy_of(spare)
    own: Any = spare if one is None else one.unwrapped
    if not hasattr(own, "max_steps"):
        return HORIZON
    limits = []
    for seed in range(LIMIT_RESETS):
        # BabyAI's levels have 0 there until a reset draws what is to be done.
        spare.reset(seed=seed)
        limits.append(_steps(own.max_steps))
    if None not in limits:
        return max(filter(None, limits))
    found = " ".join(repr(own.max_steps).split())  # an array is written over several lines
    if callable(own.max_steps):
        found = "a method"
    say_once(
        f"{name} has no step limit (max_steps is {found}): its episodes are cut off "
        f"after {HORIZON:,} steps, or after --env.horizon."
    )
    return HORIZON


def _steps(limit: Any) -> int | None:
    """Return a limit as a number of steps, or None where it is not one."""
    if isinstance(limit, bool) or not isinstance(limit, Real):
        return None
    steps = float(limit)
    return int(steps) if math.isfinite(steps) and steps >= 1 else None


def let_draw(vec: VectorEnv[Any, Any, Any], mode: str) -> bool:
    """Let copies be drawn from now on in a mode; return whether that can be.

    They are made without one: some keep what they would draw, and are slower by far.
    """
    if vec.render_mode == mode:
        return True
    one = copy_of(vec)
    if one is None or mode not in (one.metadata.get("render_modes") or ()):
        return False
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        # Without a screen pygame would look for one all the same, and complain.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    assert isinstance(vec, SyncVectorEnv)
    for copy in vec.envs:
        copy.unwrapped.render_mode = mode
    vec.render_mode = mode
    return True


def copy_of(vec: VectorEnv[Any, Any, Any]) -> gym.Env[Any, Any] | None:
    """Return the first of the copies, with its wrappers; None where they are one whole."""
    return vec.envs[0] if isinstance(vec, SyncVectorEnv) else None


def _steps_as_a_whole(registered: Registered, config: Config) -> bool:
    """Return whether the environment's own vector entry point is to be used."""
    own = registered.vector_entry_point
    mode = _metadata(own).get("autoreset_mode")
    if own is None or config.outcome_fn is not None or config.frame_stack > 1:
        return False
    return mode in _MODES or registered.entry_point is None


def _own_vectors(registered: Registered, config: Config, num_envs: int) -> VectorEnv[Any, Any, Any]:
    """Make B copies by the environment's own vector entry point."""
    limit: dict[str, Any] = {}
    if config.horizon is not None:
        limit["max_episode_steps"] = config.horizon
    vec = gym.make_vec(registered, num_envs, "vector_entry_point", **limit, **config.arguments)
    if vec.metadata.get("autoreset_mode") not in _MODES:
        raise UserError(
            f"{registered.id} resets a step late: let its autoreset_mode be SAME_STEP or DISABLED."
        )
    return vec


def _maker(registered: Registered, config: Config, limit: int) -> Callable[[], gym.Env[Any, Any]]:
    """Return what makes one copy."""
    arguments = config.arguments
    outcome_fn = None if config.outcome_fn is None else load_function(config.outcome_fn)

    def one() -> gym.Env[Any, Any]:
        env = gym.make(registered, limit, disable_env_checker=True, **arguments)
        if outcome_fn is not None:
            env = _OutcomeNamer(env, outcome_fn)  # of single frames
        return env if config.frame_stack == 1 else _stacked(env, config.frame_stack)

    return one


def _stacked(env: gym.Env[Any, Any], frames: int) -> gym.Env[Any, Any]:
    """Let an environment show its last frames.

    Raises:
        UserError: if Gymnasium cannot stack them.
    """
    try:
        return FrameStackObservation(_Texts(env), frames)
    except gym.error.CustomSpaceError:
        raise UserError(
            f"frames of {env.observation_space} cannot be stacked: leave --env.frame-stack out, "
            "or wrap the environment to show a Box, Discrete or Dict."
        ) from None


def _metadata(entry_point: Any) -> dict[str, Any]:
    """Return the metadata of an entry point: a class, the name of one, or a function."""
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    found = getattr(creator, "metadata", None)  # a function, or None, has none
    # That of a class of wrappers is a property, which says nothing yet.
    return found if isinstance(found, dict) else {}
