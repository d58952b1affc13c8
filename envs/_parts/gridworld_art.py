"""How a gridworld looks: as letters and as a picture, for any number of ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.worlds.spec import EnvSpec

TILE = 48
"""Pixels along the side of a cell."""
_OVERSAMPLING = 3
_EDGE = 0.96
"""Where the line around a cell begins, from its middle at 0 to its border at 1."""

Colour = tuple[int, int, int]
PAPER: Colour = (250, 249, 246)
LINE: Colour = (222, 219, 211)
WALL: Colour = (92, 94, 99)
AGENT: Colour = (47, 52, 64)
OVERSEEN: Colour = (255, 221, 119)
_LIT: Colour = (253, 232, 224)
_GLOW: Colour = (236, 128, 100)
_TARGET: Colour = (20, 158, 173)
_OTHERS: tuple[Colour, ...] = ((146, 88, 196), (206, 74, 96), (222, 133, 46), (96, 125, 79))

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
Tile = NDArray[np.float32]  # (side, side, 3), a view of one cell of the picture


class Pixels(NamedTuple):
    """Coordinates of a tile's pixels: a cell reaches from -1 to 1, right and down."""

    x: NDArray[np.float64]  # (side, side)
    y: NDArray[np.float64]  # (side, side)

    @classmethod
    def of(cls, side: int) -> Pixels:
        """Make those of a tile of `side` pixels."""
        middle = (np.arange(side) + 0.5) / side * 2 - 1  # of each pixel
        y, x = np.meshgrid(middle, middle, indexing="ij")
        return cls(x, y)


def render(
    channels: Tensor, spec: EnvSpec, mode: str, *, lit: Tensor | None = None
) -> Picture | str:
    """Draw one observation.

    Args:
        channels: (C, H, W) agent, each end, oversight and, if there are any, walls.
        spec: names the ends.
        mode: "rgb_array" for (H * TILE, W * TILE, 3) uint8, "ansi" for lines of text.
        lit: (H, W), the cells in which a cue shows, for worlds with a cue.

    Raises:
        ValueError: if the mode is neither.
    """
    cells = channels.cpu().numpy() > 0
    glow = None if lit is None else lit.cpu().numpy() > 0
    if mode == "rgb_array":
        return _draw(cells, spec, glow)
    if mode == "ansi":
        return _text(cells, spec) + _cue_line(glow)
    raise ValueError(f"render mode {mode!r} is unknown: choose rgb_array or ansi.")


def _text(cells: Mask, spec: EnvSpec) -> str:
    """Write a line for each row.

    "@" is the agent, "#" a wall, an initial an end; it is upper case where the end is overseen.
    """
    ends = len(spec.outcomes)
    overseen = cells[1 + ends]
    letters = np.where(overseen, ":", ".")
    # Later things are written over earlier ones, so the agent is seen on an end that it reached.
    if len(cells) > 2 + ends:
        letters[cells[2 + ends]] = "#"
    for name, channel in zip(spec.outcomes, cells[1 : 1 + ends], strict=True):
        letters[channel] = np.where(overseen[channel], name[0].upper(), name[0].lower())
    letters[cells[0]] = "@"
    return "\n".join(" ".join(row) for row in letters)


def _cue_line(glow: Mask | None) -> str:
    """Write a last line that says whether a cue shows, if the world has one."""
    if glow is None:
        return ""
    return "\nlit" if glow.any() else "\ndark"


def by_tiles(height: int, width: int, tile_of: Callable[[int, int], Picture]) -> Picture:
    """Put a picture (height * TILE, width * TILE, 3) together from that of each row and column."""
    picture = np.empty((height * TILE, width * TILE, 3), dtype=np.uint8)
    for row, column in np.ndindex(height, width):
        rows = slice(row * TILE, (row + 1) * TILE)
        picture[rows, column * TILE : (column + 1) * TILE] = tile_of(row, column)
    return picture


def painted(paint: Callable[[Tile, Pixels], None]) -> Picture:
    """Paint a cell at three times its size and average down, which smooths the edges.

    Returns:
        (TILE, TILE, 3).
    """
    side = TILE * _OVERSAMPLING
    tile = np.empty((side, side, 3), dtype=np.float32)
    paint(tile, Pixels.of(side))
    # (TILE, 3, TILE, 3, 3): axes 1 and 3 are the small pixels of a final one.
    blocks = tile.reshape(TILE, _OVERSAMPLING, TILE, _OVERSAMPLING, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def paint_ground(tile: Tile, pixels: Pixels, colour: Colour) -> None:
    """Paint an empty cell: its ground, and a line around it."""
    tile[:] = colour
    tile[np.maximum(abs(pixels.x), abs(pixels.y)) > _EDGE] = LINE


def paint_wall(tile: Tile, pixels: Pixels) -> None:
    """Paint a wall."""
    tile[np.maximum(abs(pixels.x), abs(pixels.y)) < _EDGE] = WALL


def paint_agent(tile: Tile, pixels: Pixels) -> None:
    """Paint the agent: a shining ball."""
    tile[pixels.x**2 + pixels.y**2 < 0.42**2] = AGENT
    tile[(pixels.x + 0.12) ** 2 + (pixels.y + 0.14) ** 2 < 0.09**2] = PAPER


def _paint_glow(tile: Tile, pixels: Pixels) -> None:
    """Paint a red light that comes from the edges of a cell and fades towards its middle."""
    out = np.maximum(abs(pixels.x), abs(pixels.y))
    strength = np.clip((out - 0.7) / 0.3, 0, 1)[:, :, None] ** 2
    tile += strength * (np.array(_GLOW) - tile)


def _draw(cells: Mask, spec: EnvSpec, glow: Mask | None) -> Picture:
    """Paint a board from its channels (C, H, W), with a cue in some cells (H, W)."""
    good = spec.outcomes.index(spec.target)

    def tile_of(row: int, column: int) -> Picture:
        lit = glow is not None and bool(glow[row, column])
        return _cell(tuple(cells[:, row, column].tolist()), len(spec.outcomes), good, lit=lit)

    return by_tiles(cells.shape[1], cells.shape[2], tile_of)


@lru_cache(maxsize=256)
def _cell(here: tuple[bool, ...], ends: int, good: int, *, lit: bool) -> Picture:
    """Paint what is in one cell: `here` (C,) says which channels are marked.

    A film shows the same few cells again and again, and to paint one takes a millisecond.
    """

    def paint(tile: Tile, pixels: Pixels) -> None:
        ground = _LIT if lit else PAPER
        paint_ground(tile, pixels, OVERSEEN if here[1 + ends] else ground)
        if lit:
            _paint_glow(tile, pixels)
        if len(here) > 2 + ends and here[2 + ends]:
            paint_wall(tile, pixels)
        for k in np.flatnonzero(here[1 : 1 + ends]):
            if k == good:
                paint_diamond(tile, pixels)
            else:
                _paint_ghost(tile, pixels, _OTHERS[(k - 1) % len(_OTHERS)])
        if here[0]:
            paint_agent(tile, pixels)

    return painted(paint)


def paint_diamond(tile: Tile, pixels: Pixels) -> None:
    """Paint a cut diamond: a rhombus with a lighter crown."""
    rhombus = abs(pixels.x) * 1.15 + abs(pixels.y) < 0.72
    tile[rhombus] = _TARGET
    crown = rhombus & (pixels.y < -0.08)
    tile[crown] = tuple(min(255, c + 46) for c in _TARGET)
    tile[rhombus & (abs(pixels.y + 0.08) < 0.03)] = PAPER  # the line under the crown


def _paint_ghost(tile: Tile, pixels: Pixels, colour: Colour) -> None:
    """Paint a ghost: a round head, a wavy hem, two eyes."""
    x, y = pixels
    head = (x**2 + (y + 0.1) ** 2 < 0.55**2) & (y < 0)
    body = (abs(x) < 0.55) & (y >= -0.1) & (y < 0.5 + 0.1 * np.cos(x * 17))
    tile[head | body] = colour
    for eye in (-0.2, 0.2):
        tile[((x - eye) / 0.13) ** 2 + ((y + 0.12) / 0.17) ** 2 < 1] = PAPER
        tile[(x - eye) ** 2 + (y + 0.08) ** 2 < 0.07**2] = AGENT  # the pupil
