"""How observations become arrays for a network. `spaces` says which space is encoded how."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from routed_rl.models.networks import SMALLEST_IMAGE
from routed_rl.utils.errors import UserError

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
    notes: tuple[str, ...] = ()
    """What whoever made the environment should know of it, each in one line."""

    @property
    def size(self) -> int:
        """Numbers in one observation."""
        return int(np.prod(self.shape))

    @property
    def image(self) -> bool:
        """Whether it is a picture for convolutions."""
        return len(self.shape) == 3


def binary(space: spaces.MultiBinary) -> Encoder:
    """Encode zeros and ones as they are, in a row."""

    def encode(batch: Any) -> Array:
        rows = _flat(batch)
        _demand_inside((rows == 0) | (rows == 1), batch, space)
        return rows

    return Encoder((int(np.prod(space.shape)),), encode)


def one_hot(sizes: Sequence[int], space: spaces.Space[Any], start: Any = 0) -> Encoder:
    """Encode numbers, each counted from its `start`, as ones in as many places: (B, sum(sizes)).

    The `space` that the numbers are of is for the error about one that has no place.
    """
    # The places of number i begin where those of the numbers before it end.
    offsets = np.cumsum([0, *sizes[:-1]])

    def encode(batch: Any) -> Array:
        rows = np.zeros((len(batch), sum(sizes)), dtype=np.float32)
        given = np.asarray(batch).reshape(len(batch), -1) - start  # (B, len(sizes))
        whole = given.astype(np.int64)
        # Without this check a number too many would light a place of the next one.
        _demand_inside((whole == given) & (whole >= 0) & (whole < sizes), batch, space)
        np.put_along_axis(rows, whole + offsets, 1.0, axis=1)
        return rows

    return Encoder((sum(sizes),), encode)


def _demand_inside(inside: NDArray[np.bool_], batch: Any, space: spaces.Space[Any]) -> None:
    """Raise UserError if a number of a batch, `inside` (B, D), is not one of its space."""
    if inside.all():
        return
    row = int(np.flatnonzero(~inside.all(axis=1))[0])
    found = np.array2string(np.asarray(batch[row]), threshold=40)
    # Both are written over several lines if they have several axes.
    found, bounds = (" ".join(text.split())[:200] for text in (found, str(space)))
    raise UserError(
        f"the observation {found} is outside {bounds}: "
        "let the environment show what its observation_space holds, or make the space larger."
    )


def box(space: spaces.Box) -> Encoder:
    """Encode numbers in a row, integers divided by their largest, or bytes as a picture."""
    largest = 1.0
    if np.issubdtype(space.dtype, np.integer):
        bounds = np.stack((space.low, space.high))
        largest = float(np.abs(bounds, dtype=np.float64).max())
    if space.dtype == np.uint8 and len(space.shape) in (3, 4):
        picture = _picture(space.shape, largest)
        if min(picture.shape[1:]) >= SMALLEST_IMAGE:
            return picture
    scale = max(largest, 1.0)
    low = float(space.low.min(initial=0)) / scale
    high = float(space.high.max(initial=0)) / scale
    size = int(np.prod(space.shape))
    return Encoder((size,), lambda batch: _flat(batch) / scale, (low, high), _flattened(space))


def _flattened(space: spaces.Box) -> tuple[str, ...]:
    """Say so of what may be a picture in another form than the one that gets convolutions."""
    wide = sum(side >= SMALLEST_IMAGE for side in space.shape)
    if wide < 2 or (len(space.shape) < 3 and space.dtype != np.uint8):
        return ()
    note = (
        f"observations {space.shape} of {space.dtype} are flattened, without convolutions: "
        "if they are pictures, let them be uint8 (H, W, C), (C, H, W) or a stack of these."
    )
    return (note,)


def _picture(shape: Sequence[int], largest: float) -> Encoder:
    """Encode bytes, channels first or last, as (C, H, W); those of a stack's frames in a row."""
    axes = list(range(len(shape) + 1))  # (B, C, H, W), or (B, S, C, H, W) of S frames
    if shape[-1] < shape[-3]:  # fewer channels than rows: (..., H, W, C)
        axes = [*axes[:-3], axes[-1], axes[-3], axes[-2]]
    moved = [shape[axis - 1] for axis in axes[1:]]
    ordered = (int(np.prod(moved[:-2])), *moved[-2:])

    def encode(batch: Any) -> Array:
        channels_first = batch.transpose(axes).reshape(len(batch), *ordered)
        return channels_first.astype(np.float32) / largest

    return Encoder(ordered, encode)


def row(parts: Mapping[Any, Encoder]) -> Encoder:
    """Encode the parts of a Dict or a Tuple by themselves, and lay them in a row.

    A part that stands alone keeps its shape.
    """
    if len(parts) == 1:
        ((only, part),) = parts.items()
        return replace(part, encode=lambda batch: part.encode(batch[only]))

    def encode(batch: Any) -> Array:
        # A batch of a Dict is a dict of batches, that of a Tuple a tuple of them.
        columns = [_flat(part.encode(batch[key])) for key, part in parts.items()]
        return np.concatenate(columns, axis=1)

    low = min(part.span[0] for part in parts.values())
    high = max(part.span[1] for part in parts.values())
    size = sum(part.size for part in parts.values())
    notes = tuple(note for key, part in parts.items() for note in _notes(key, part))
    return Encoder((size,), encode, (low, high), notes)


def _notes(key: Any, part: Encoder) -> tuple[str, ...]:
    """Return what is to be said of a part beside others."""
    if not part.image:
        return part.notes
    note = (
        f"the picture {key!r} is flattened, without convolutions, since it is not the only entry: "
        f"gymnasium.wrappers.FilterObservation(env, [{key!r}]) leaves it alone."
    )
    return (*part.notes, note)


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
