"""Gymnasium's spaces for a policy: what observations become for it, and its actions for them.

One rule for each space. Whatever is inside a Dict or a Tuple is encoded by itself, flattened, and
laid in a row.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from routed_rl.gym import encoders
from routed_rl.gym.encoders import Array, Encoder
from routed_rl.models.networks import SMALLEST_IMAGE
from routed_rl.utils.errors import UserError

_MINIGRID_CODES = (11, 6, 4)
"""How many kinds, colours and states MiniGrid has; a cell of its image is one code of each."""
_PIXEL_WRAPPERS = ("RGBImgObsWrapper", "RGBImgPartialObsWrapper")
"""Those of MiniGrid that put pixels in the place of codes."""
_TAKEN_FOR_CODES = (
    "the image beside a mission is taken for MiniGrid's codes: "
    "if it is none, let it be a Box of floats."
)


def observations(space: spaces.Space[Any], env: gym.Env[Any, Any] | None = None) -> Encoder:
    """Return the encoder of a space.

    - Discrete, MultiDiscrete: one-hot. MultiBinary: zeros and ones.
    - Box: its numbers, integers divided by their largest. Bytes in three axes are a picture if it
      has at least `SMALLEST_IMAGE` pixels on a side, and a stack of them is one of more channels.
    - MiniGrid's image, alone or in a Dict: one-hot.
    - Text: a bag of its words.
    - Dict: its entries in the order of their keys. Tuple: its entries.

    Args:
        space: of single observations.
        env: the environment that they are of, with its wrappers; it tells whether an image is one
            of MiniGrid's codes. Without it a Dict with a mission and a small image has codes.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return encoders.one_hot([int(space.n)], space, int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        sizes = space.nvec.flatten().tolist()
        return encoders.one_hot(sizes, space, space.start.flatten())
    if isinstance(space, spaces.MultiBinary):
        return encoders.binary(space)
    if isinstance(space, spaces.Box):
        if _fits_codes(space) and _shows_codes(env):
            return _minigrid(space, env)
        return encoders.box(space)
    if isinstance(space, spaces.Dict):
        return _entries(space, env)
    if isinstance(space, spaces.Tuple):
        return encoders.row({i: observations(part, env) for i, part in enumerate(space.spaces)})
    # MiniGrid's missions are a space of its own whose samples are texts.
    if isinstance(space, spaces.Text) or isinstance(space.sample(), str):
        return encoders.bag_of_words()
    raise UserError(
        f"no rule for observations of {space}: "
        "wrap the environment to give a Box, Discrete or Dict."
    )


def _entries(space: spaces.Dict, env: gym.Env[Any, Any] | None) -> Encoder:
    """Encode a Dict; its image has MiniGrid's codes if a mission is all that can be asked."""
    # Sorted, so that an environment that lists its entries otherwise means the same.
    parts = {key: observations(part, env) for key, part in sorted(space.spaces.items())}
    if env is None and {"image", "mission"} <= set(parts) and _fits_codes(space["image"]):
        parts["image"] = _minigrid(space["image"], env)
    return encoders.row(parts)


def _fits_codes(space: spaces.Space[Any]) -> bool:
    """Whether a space could be of MiniGrid's codes (H, W, 3), or of a stack of such images."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    if len(space.shape) not in (3, 4) or space.shape[-1] != len(_MINIGRID_CODES):
        return False
    return min(space.shape[-3:-1]) < SMALLEST_IMAGE  # else it is a picture


def _shows_codes(env: gym.Env[Any, Any] | None) -> bool:
    """Whether an environment is one of MiniGrid's, and no wrapper has turned codes into pixels."""
    # Looked up and not imported: without the module there can be no environment of its class.
    module = sys.modules.get("minigrid.minigrid_env")
    if env is None or module is None or not isinstance(env.unwrapped, module.MiniGridEnv):
        return False
    wrappers = importlib.import_module("minigrid.wrappers")
    pixels = tuple(getattr(wrappers, name) for name in _PIXEL_WRAPPERS)
    return not any(isinstance(layer, pixels) for layer in _layers(env))


def _layers(env: gym.Env[Any, Any]) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    """List the wrappers of an environment, the outermost first."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env


def _minigrid(space: spaces.Space[Any], env: gym.Env[Any, Any] | None) -> Encoder:
    """Encode MiniGrid's image of codes (..., H, W, 3) as ones in as many places."""
    counts = _MINIGRID_CODES
    source = f"the space {space}"
    if env is not None:
        counts = _code_counts()
        names = [type(x).__name__ for x in _layers(env) if isinstance(x, gym.ObservationWrapper)]
        source = next(iter(names), source)
    assert space.shape is not None
    inner = encoders.one_hot(list(counts) * int(np.prod(space.shape[:-1])), space)

    def encode(batch: Any) -> Array:
        codes = np.asarray(batch)
        beyond = np.argwhere(codes >= counts)
        if len(beyond):
            axis = beyond[0][-1]
            raise UserError(
                f"an image of {source} holds the {('object', 'colour', 'state')[axis]} "
                f"{codes[tuple(beyond[0])]}, and MiniGrid has {counts[axis]}: let it hold "
                "MiniGrid's codes, or wrap it to give another Box, such as one of floats."
            )
        return inner.encode(codes)

    notes = () if env is not None else (_TAKEN_FOR_CODES,)
    return replace(inner, encode=encode, notes=notes)


def _code_counts() -> tuple[int, int, int]:
    """Count MiniGrid's kinds, colours and states, with those that somebody added to its tables."""
    tables = sys.modules["minigrid.core.constants"]
    added = (tables.OBJECT_TO_IDX, tables.COLOR_TO_IDX, tables.STATE_TO_IDX)
    known = zip(_MINIGRID_CODES, added, strict=True)
    kinds, colours, states = (max(least, 1 + max(table.values())) for least, table in known)
    return kinds, colours, states


@dataclass(frozen=True)
class Actions:
    """What actions of a space are for a policy."""

    num_actions: int
    continuous: bool
    decode: Callable[[NDArray[Any]], NDArray[Any]]
    """Actions of a policy, (B,) or (B, num_actions) -> those of the environment."""
    sizes: tuple[int, ...] = ()
    """Where an action is several whole numbers: how many values each has."""


def actions(space: spaces.Space[Any]) -> Actions:
    """Return what a space's actions are: whole numbers are counted, a Box's scaled.

    To a policy the bounds of a Box are -1 and 1. A MultiDiscrete or MultiBinary action is a row of
    whole numbers, drawn independently.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return Actions(int(space.n), False, lambda chosen: chosen + space.start)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return _scaled(space)
    if isinstance(space, spaces.MultiDiscrete):
        return _counted(space, space.nvec.flatten().tolist(), space.start)
    if isinstance(space, spaces.MultiBinary):
        return _counted(space, [2] * int(np.prod(space.shape)), 0)
    raise UserError(
        f"no rule for actions of {space}: "
        "wrap the environment to take a Discrete, MultiDiscrete, MultiBinary or a Box of floats."
    )


def _counted(
    space: spaces.MultiDiscrete | spaces.MultiBinary, sizes: Sequence[int], start: Any
) -> Actions:
    """Count each number of an action from its start."""

    def decode(chosen: NDArray[Any]) -> NDArray[Any]:
        return (chosen.reshape(-1, *space.shape) + start).astype(space.dtype)

    return Actions(len(sizes), False, decode, tuple(sizes))


def _scaled(space: spaces.Box) -> Actions:
    """Scale -1 to 1 to the bounds of each number; one without bounds is taken as it is."""
    low = space.low.reshape(-1).astype(np.float64)  # (num_actions,)
    high = space.high.reshape(-1).astype(np.float64)
    bounded = np.isfinite(low) & np.isfinite(high)
    # Without bounds the scale is 1 around 0, which changes nothing.
    least = np.where(bounded, low, -1.0)
    most = np.where(bounded, high, 1.0)
    half = (most - least) / 2
    middle = (most + least) / 2

    def decode(chosen: NDArray[Any]) -> NDArray[Any]:
        within = np.where(bounded, np.clip(chosen, -1, 1), chosen)
        # Clipped again: one bound may be finite, and rounding may go past it.
        scaled = np.clip(middle + half * within, low, high)
        return scaled.reshape(-1, *space.shape).astype(space.dtype)

    return Actions(len(low), True, decode)
