"""Gymnasium's spaces as tensors: what an observation becomes for a network, and an action for an environment.

One rule for each space; whatever is inside a Dict or a Tuple is encoded by itself, flattened, and laid in a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from routed_rl.config import UserError
from routed_rl.networks import SMALLEST_IMAGE

Array = NDArray[np.float32]
_WORDS = 64
"""Numbers that a text becomes: each of its words lights one of them."""
_MINIGRID_CODES = (11, 6, 4)
"""How many kinds, colours and states MiniGrid has; a cell of its image is one code of each."""


@dataclass(frozen=True)
class Encoder:
    """What observations of a space become."""

    shape: tuple[int, ...]
    """Of one observation: (D,), or (C, H, W) of an image."""
    encode: Callable[[Any], Array]
    """A batch of B, as Gymnasium's vector environments give it -> (B, *shape)."""

    @property
    def image(self) -> bool:
        """Whether it is a picture for convolutions."""
        return len(self.shape) == 3


def observations(space: spaces.Space[Any]) -> Encoder:
    """Return the encoder of a space.

    Discrete, MultiDiscrete: one-hot. MultiBinary: zeros and ones. Box: its numbers, integers divided by their
    largest; bytes in three axes are a picture if it has at least `SMALLEST_IMAGE` pixels on a side. Text: a bag of
    its words. Dict: its entries in the order of their keys. Tuple: its entries.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return _one_hot([int(space.n)], int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hot(space.nvec.flatten().tolist(), space.start.flatten())
    if isinstance(space, spaces.MultiBinary):
        return Encoder((int(np.prod(space.shape)),), _flat)
    if isinstance(space, spaces.Box):
        return _box(space)
    if isinstance(space, spaces.Dict):
        parts = {key: observations(part) for key, part in sorted(space.spaces.items())}
        if _is_minigrid(space.spaces):
            parts["image"] = _minigrid(space["image"])
        return _row(parts)
    if isinstance(space, spaces.Tuple):
        return _row(dict(enumerate(map(observations, space.spaces))))
    if isinstance(space, spaces.Text) or isinstance(space.sample(), str):
        return Encoder((_WORDS,), lambda texts: np.stack([_bag(text) for text in texts]))
    raise UserError(f"no rule for observations of {space}: wrap the environment to give a Box, Discrete or Dict.")


def _one_hot(sizes: Sequence[int], start: Any) -> Encoder:
    """Encode one number or several, each counted from its `start`, as ones in as many places."""
    offsets = np.cumsum([0, *sizes[:-1]]) - start

    def encode(batch: Any) -> Array:
        rows = np.zeros((len(batch), sum(sizes)), dtype=np.float32)
        np.put_along_axis(rows, np.asarray(batch).reshape(len(batch), -1) + offsets, 1.0, axis=1)
        return rows

    return Encoder((sum(sizes),), encode)


def _box(space: spaces.Box) -> Encoder:
    """Encode numbers."""
    whole = np.issubdtype(space.dtype, np.integer)
    largest = float(np.abs(np.stack((space.low, space.high)), dtype=np.float64).max()) if whole else 1.0
    if space.dtype == np.uint8 and len(space.shape) == 3:
        channels_last = space.shape[2] < space.shape[0]
        planes = space.shape if not channels_last else (space.shape[2], *space.shape[:2])
        if min(planes[1:]) >= SMALLEST_IMAGE:
            order = (0, 3, 1, 2) if channels_last else (0, 1, 2, 3)
            return Encoder(planes, lambda batch: batch.transpose(order).astype(np.float32) / largest)
    return Encoder((int(np.prod(space.shape)),), lambda batch: _flat(batch) / max(largest, 1.0))


def _row(parts: dict[Any, Encoder]) -> Encoder:
    """Lay the encoded parts in a row."""

    def encode(batch: Any) -> Array:
        return np.concatenate([_flat(part.encode(batch[key])) for key, part in parts.items()], axis=1)

    return Encoder((sum(int(np.prod(part.shape)) for part in parts.values()),), encode)


def _is_minigrid(parts: Mapping[str, spaces.Space[Any]]) -> bool:
    """Tell MiniGrid's own observations from others: a mission, and an image too small to be one of pixels."""
    image = parts.get("image")
    return "mission" in parts and isinstance(image, spaces.Box) and image.shape[0] < SMALLEST_IMAGE


def _minigrid(space: spaces.Space[Any]) -> Encoder:
    """Encode MiniGrid's image of codes (H, W, 3) as ones in as many places."""
    assert space.shape is not None
    return _one_hot(list(_MINIGRID_CODES) * int(np.prod(space.shape[:2])), 0)


def _flat(batch: Any) -> Array:
    """Flatten a batch to (B, D)."""
    return np.asarray(batch, dtype=np.float32).reshape(len(batch), -1)


@lru_cache(maxsize=4096)
def _bag(text: str) -> Array:
    """Light a number for each word; two words share one by chance (feature hashing)."""
    row = np.zeros(_WORDS, dtype=np.float32)
    row[[zlib.crc32(word.encode()) % _WORDS for word in text.lower().split()]] = 1.0
    return row


@dataclass(frozen=True)
class Actions:
    """What actions of a space are for a policy."""

    num_actions: int
    continuous: bool
    decode: Callable[[NDArray[Any]], NDArray[Any]]
    """Actions of a policy, (B,) or (B, num_actions) -> those of the environment."""


def actions(space: spaces.Space[Any]) -> Actions:
    """Say what actions of a space are: Discrete ones are counted, a Box's bounds are -1 and 1 to the policy.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return Actions(int(space.n), False, lambda chosen: chosen + space.start)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        low, high = space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)
        bounded = np.isfinite(low) & np.isfinite(high)
        least, most = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        half, middle = (most - least) / 2, (most + least) / 2

        def decode(chosen: NDArray[Any]) -> NDArray[Any]:
            pushed = np.clip(middle + half * np.where(bounded, np.clip(chosen, -1, 1), chosen), low, high)
            return pushed.reshape(-1, *space.shape).astype(space.dtype)

        return Actions(len(low), True, decode)
    raise UserError(f"no rule for actions of {space}: wrap the environment to take a Discrete or a Box of floats.")
