"""How a gridworld looks: as letters and as a picture, for any number of ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.env import EnvSpec

TILE = 48
"""Pixels along the side of a cell."""
_OVERSAMPLING = 3
_PAPER, _LINE, _WALL = (250, 249, 246), (222, 219, 211), (92, 94, 99)
_AGENT, _OVERSEEN = (47, 52, 64), (255, 221, 119)
_TARGET, _OTHERS = (20, 158, 173), ((146, 88, 196), (206, 74, 96), (222, 133, 46), (96, 125, 79))

Mask = NDArray[np.bool_]


def render(planes: Tensor, spec: EnvSpec, mode: str) -> NDArray[np.uint8] | str:
    """Draw one observation.

    Args:
        planes: (C, H, W) agent, each end, oversight and, if there are any, walls.
        spec: names the ends.
        mode: "rgb_array" for (H * TILE, W * TILE, 3) uint8, "ansi" for lines of text.

    Raises:
        ValueError: if the mode is neither.
    """
    cells = planes.cpu().numpy() > 0
    if mode == "rgb_array":
        return _draw(cells, spec)
    if mode == "ansi":
        return _text(cells, spec)
    raise ValueError(f"render mode {mode!r} is unknown: choose rgb_array or ansi.")


def _text(cells: Mask, spec: EnvSpec) -> str:
    """Write a line a row: @ the agent, an initial for each end (upper case where overseen), # a wall."""
    ends, overseen = len(spec.outcomes), cells[1 + len(spec.outcomes)]
    letters = np.where(overseen, ":", ".")
    if len(cells) > 2 + ends:
        letters[cells[2 + ends]] = "#"
    for name, plane in zip(spec.outcomes, cells[1 : 1 + ends], strict=True):
        letters[plane] = np.where(overseen[plane], name[0].upper(), name[0].lower())
    letters[cells[0]] = "@"
    return "\n".join(" ".join(row) for row in letters)


def _draw(cells: Mask, spec: EnvSpec) -> NDArray[np.uint8]:
    """Paint each cell at three times its size and average down, which smooths the edges."""
    ends, side = len(spec.outcomes), TILE * _OVERSAMPLING
    y, x = np.meshgrid(*[(np.arange(side) + 0.5) / side * 2 - 1] * 2, indexing="ij")  # a cell is [-1, 1] squared
    border = np.maximum(abs(x), abs(y))
    picture = np.empty((cells.shape[1] * side, cells.shape[2] * side, 3), dtype=np.float32)
    for row, column in np.ndindex(*cells.shape[1:]):
        tile = picture[row * side : (row + 1) * side, column * side : (column + 1) * side]
        here = cells[:, row, column]
        tile[:] = _OVERSEEN if here[1 + ends] else _PAPER
        tile[border > 0.96] = _LINE
        if len(here) > 2 + ends and here[2 + ends]:
            tile[border < 0.96] = _WALL
        for k in np.flatnonzero(here[1 : 1 + ends]):
            if spec.outcomes[k] == spec.target:
                _paint_diamond(tile, x, y)
            else:
                _paint_ghost(tile, x, y, _OTHERS[(k - 1) % len(_OTHERS)])
        if here[0]:
            tile[x**2 + y**2 < 0.42**2] = _AGENT
            tile[(x + 0.12) ** 2 + (y + 0.14) ** 2 < 0.09**2] = _PAPER
    shape = (picture.shape[0] // _OVERSAMPLING, _OVERSAMPLING, picture.shape[1] // _OVERSAMPLING, _OVERSAMPLING, 3)
    return picture.reshape(shape).mean(axis=(1, 3)).round().astype(np.uint8)


def _paint_diamond(tile: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Paint a cut diamond: a rhombus with a lighter crown."""
    rhombus = abs(x) * 1.15 + abs(y) < 0.72
    tile[rhombus] = _TARGET
    tile[rhombus & (y < -0.08)] = tuple(min(255, c + 46) for c in _TARGET)
    tile[rhombus & (abs(y + 0.08) < 0.03)] = _PAPER


def _paint_ghost(
    tile: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    """Paint a ghost: a round head, a wavy hem, two eyes."""
    head = (x**2 + (y + 0.1) ** 2 < 0.55**2) & (y < 0)
    body = (abs(x) < 0.55) & (y >= -0.1) & (y < 0.5 + 0.1 * np.cos(x * 17))
    tile[head | body] = colour
    for eye in (-0.2, 0.2):
        tile[((x - eye) / 0.13) ** 2 + ((y + 0.12) / 0.17) ** 2 < 1] = _PAPER
        tile[(x - eye) ** 2 + (y + 0.08) ** 2 < 0.07**2] = _AGENT
