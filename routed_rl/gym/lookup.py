"""Gymnasium's environments for the registry, imported only when one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from routed_rl.registry import Foreign


def _find(name: str) -> ModuleType | None:
    """Return an environment of Gymnasium as a module with `Config` and `make`."""
    from routed_rl.gym import from_gym  # to import it takes longer than to print the help

    found = from_gym.find(name)
    return None if found is None else from_gym.as_module(found)


def _ids() -> Sequence[str]:
    """List the registered ids."""
    from routed_rl.gym import from_gym

    return from_gym.ids()


GYMNASIUM = Foreign(_find, _ids)
