"""Finds Gymnasium's environments by the names that --env takes."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.vector import VectorEnv

from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import load_module


def find(name: str) -> Registered | None:
    """Find an environment by what was given as --env.

    Args:
        name: a registered id; WHERE:NAME, an id that a module or file registers or a class in it;
            or a file with one environment class in it.

    Returns:
        How Gymnasium makes it; None if there is none of this name.
    """
    importlib.import_module("minigrid")  # registers its ids
    where, _, member = name.rpartition(":")
    loaded = None
    if where or name.endswith(".py"):
        loaded = load_module(where or name)  # may register the id
    if member in gym.registry:
        return gym.spec(member)
    if loaded is None:
        return None
    classes = {key: value for key, value in vars(loaded).items() if _is_env(value)}
    if not where:
        return _registered(_only(classes, loaded, name))
    if member not in classes:
        return None
    return _registered(classes[member])


def ids() -> list[str]:
    """List the registered ids."""
    return list(gym.registry)


def _only(classes: dict[str, type], loaded: ModuleType, name: str) -> type:
    """Return the one environment class that a file defines and does not only import.

    Raises:
        UserError: if there is not exactly one.
    """
    own = [value for value in classes.values() if value.__module__ == loaded.__name__]
    if len(own) != 1:
        raise UserError(
            f"{name} has {len(own)} environment classes: choose one, as in {name}:NAME."
        )
    return own[0]


def _registered(chosen: type) -> Registered:
    """Return what registering a class would, without doing so."""
    name = f"{chosen.__name__}-v0"
    if issubclass(chosen, VectorEnv):
        return Registered(name, vector_entry_point=chosen)
    return Registered(name, entry_point=chosen)


def _is_env(value: Any) -> bool:
    """Whether something is a class of environments."""
    return isinstance(value, type) and issubclass(value, gym.Env | VectorEnv)
