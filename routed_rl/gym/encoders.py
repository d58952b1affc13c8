"""How observations become arrays for a network. `spaces` says which space is encoded how."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from routed_rl.models.networks import SMALLEST_IMAGE

Array = NDArray[np.float32]
_WORDS = 64
"""Numbers that a text becomes: each of its words lights one of them."""


@dataclass(frozen=True)
class Encoder:
    """What observations of a space become."""

    shape: tuple[int, ...]
    """Of one observation: (D,), or (C, H, W) of an image."""
    encode: Callable[[Any], Array]
    """A batch of B, as Gymnasium's vector environments give it -> (B, *shape)."""
    span: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest number that can come of it."""

    @property
    def size(self) -> int:
        """Numbers in one observation."""
        return int(np.prod(self.shape))

    @property
    def image(self) -> bool:
        """Whether it is a picture for convolutions."""
        return len(self.shape) == 3


def flat(shape: Sequence[int] | None) -> Encoder:
    """Encode numbers of a shape as they are, in a row."""
    assert shape is not None
    return Encoder((int(np.prod(shape)),), _flat)


def one_hot(sizes: Sequence[int], start: Any = 0) -> Encoder:
    """Encode numbers, each counted from its `start`, as ones in as many places: (B, sum(sizes))."""
    # The places of number i begin where those of the numbers before it end.
    offsets = np.cumsum([0, *sizes[:-1]]) - start

    def encode(batch: Any) -> Array:
        rows = np.zeros((len(batch), sum(sizes)), dtype=np.float32)
        places = np.asarray(batch).reshape(len(batch), -1) + offsets  # (B, len(sizes))
        np.put_along_axis(rows, places, 1.0, axis=1)
        return rows

    return Encoder((sum(sizes),), encode)


def box(space: spaces.Box) -> Encoder:
    """Encode numbers in a row, integers divided by their largest, or bytes as a picture."""
    largest = 1.0
    if np.issubdtype(space.dtype, np.integer):
        bounds = np.stack((space.low, space.high))
        largest = float(np.abs(bounds, dtype=np.float64).max())
    if space.dtype == np.uint8 and len(space.shape) == 3:
        picture = _picture(space.shape, largest)
        if min(picture.shape[1:]) >= SMALLEST_IMAGE:
            return picture
    scale = max(largest, 1.0)
    low = float(space.low.min(initial=0)) / scale
    high = float(space.high.max(initial=0)) / scale
    return Encoder((int(np.prod(space.shape)),), lambda batch: _flat(batch) / scale, (low, high))


def _picture(shape: Sequence[int], largest: float) -> Encoder:
    """Encode bytes, channels first or last, as (C, H, W)."""
    axes = (0, 1, 2, 3)  # (B, C, H, W)
    if shape[2] < shape[0]:  # fewer channels than rows: (B, H, W, C)
        axes = (0, 3, 1, 2)
    ordered = tuple(shape[axis - 1] for axis in axes[1:])
    return Encoder(ordered, lambda batch: batch.transpose(axes).astype(np.float32) / largest)


def row(parts: Mapping[Any, Encoder]) -> Encoder:
    """Encode the parts of a Dict or a Tuple by themselves, and lay them in a row."""

    def encode(batch: Any) -> Array:
        # A batch of a Dict is a dict of batches, that of a Tuple a tuple of them.
        columns = [_flat(part.encode(batch[key])) for key, part in parts.items()]
        return np.concatenate(columns, axis=1)

    low = min(part.span[0] for part in parts.values())
    high = max(part.span[1] for part in parts.values())
    return Encoder((sum(part.size for part in parts.values()),), encode, (low, high))


def bag_of_words() -> Encoder:
    """Encode texts as their words, whatever their order."""
    return Encoder((_WORDS,), lambda texts: np.stack([_bag(text) for text in texts]))


@lru_cache(maxsize=4096)
def _bag(text: str) -> Array:
    """Light a number for each word; two words can share one (feature hashing)."""
    lit = np.zeros(_WORDS, dtype=np.float32)
    # Not Python's own hash: that of a text is another one in every process.
    lit[[zlib.crc32(word.encode()) % _WORDS for word in text.lower().split()]] = 1.0
    return lit


def _flat(batch: Any) -> Array:
    """Flatten a batch to (B, D)."""
    return np.asarray(batch, dtype=np.float32).reshape(len(batch), -1)
