"""Gymnasium's spaces for a policy: what observations become for it, and its actions for them.

One rule for each space. Whatever is inside a Dict or a Tuple is encoded by itself, flattened, and
laid in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from routed_rl.gym import encoders
from routed_rl.gym.encoders import Encoder
from routed_rl.models.networks import SMALLEST_IMAGE
from routed_rl.utils.errors import UserError

_MINIGRID_CODES = (11, 6, 4)
"""How many kinds, colours and states MiniGrid has; a cell of its image is one code of each."""


def observations(space: spaces.Space[Any]) -> Encoder:
    """Return the encoder of a space.

    - Discrete, MultiDiscrete: one-hot. MultiBinary: zeros and ones.
    - Box: its numbers, integers divided by their largest. Bytes in three axes are a picture if it
      has at least `SMALLEST_IMAGE` pixels on a side.
    - Text: a bag of its words.
    - Dict: its entries in the order of their keys. Tuple: its entries.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return encoders.one_hot([int(space.n)], int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return encoders.one_hot(space.nvec.flatten().tolist(), space.start.flatten())
    if isinstance(space, spaces.MultiBinary):
        return encoders.flat(space.shape)
    if isinstance(space, spaces.Box):
        return encoders.box(space)
    if isinstance(space, spaces.Dict):
        # Sorted, so that an environment that lists its entries otherwise means the same.
        parts = {key: observations(part) for key, part in sorted(space.spaces.items())}
        if _is_minigrid(space.spaces):
            parts["image"] = _minigrid(space["image"])
        return encoders.row(parts)
    if isinstance(space, spaces.Tuple):
        return encoders.row(dict(enumerate(map(observations, space.spaces))))
    # MiniGrid's missions are a space of its own whose samples are texts.
    if isinstance(space, spaces.Text) or isinstance(space.sample(), str):
        return encoders.bag_of_words()
    raise UserError(
        f"no rule for observations of {space}: "
        "wrap the environment to give a Box, Discrete or Dict."
    )


def _is_minigrid(parts: Mapping[str, spaces.Space[Any]]) -> bool:
    """Tell MiniGrid's own observations: a mission, and an image too small to be one of pixels."""
    image = parts.get("image")
    if "mission" not in parts or not isinstance(image, spaces.Box):
        return False
    return image.shape[0] < SMALLEST_IMAGE


def _minigrid(space: spaces.Space[Any]) -> Encoder:
    """Encode MiniGrid's image of codes (H, W, 3) as ones in as many places."""
    assert space.shape is not None
    cells = int(np.prod(space.shape[:2]))
    return encoders.one_hot(list(_MINIGRID_CODES) * cells)


@dataclass(frozen=True)
class Actions:
    """What actions of a space are for a policy."""

    num_actions: int
    continuous: bool
    decode: Callable[[NDArray[Any]], NDArray[Any]]
    """Actions of a policy, (B,) or (B, num_actions) -> those of the environment."""


def actions(space: spaces.Space[Any]) -> Actions:
    """Return what a space's actions are: Discrete ones are counted, a Box's numbers scaled.

    To a policy the bounds of a Box are -1 and 1.

    Raises:
        UserError: if there is no rule for it.
    """
    if isinstance(space, spaces.Discrete):
        return Actions(int(space.n), False, lambda chosen: chosen + space.start)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return _scaled(space)
    raise UserError(
        f"no rule for actions of {space}: "
        "wrap the environment to take a Discrete or a Box of floats."
    )


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
