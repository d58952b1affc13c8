"""How a gridworld looks: as letters and as a picture, for any number of ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.worlds.spec import EnvSpec

TILE = 48
"""Pixels along the side of a cell."""
_OVERSAMPLING = 3

Colour = tuple[int, int, int]
_PAPER: Colour = (250, 249, 246)
_LINE: Colour = (222, 219, 211)
_WALL: Colour = (92, 94, 99)
_AGENT: Colour = (47, 52, 64)
_OVERSEEN: Colour = (255, 221, 119)
_TARGET: Colour = (20, 158, 173)
_OTHERS: tuple[Colour, ...] = ((146, 88, 196), (206, 74, 96), (222, 133, 46), (96, 125, 79))

Mask = NDArray[np.bool_]
Tile = NDArray[np.float32]  # (side, side, 3), a view of one cell of the picture


class _Grid(NamedTuple):
    """Coordinates of a tile's pixels: a cell reaches from -1 to 1, right and down."""

    x: NDArray[np.float64]  # (side, side)
    y: NDArray[np.float64]  # (side, side)

    @classmethod
    def of(cls, side: int) -> _Grid:
        """Make those of a tile of `side` pixels."""
        middle = (np.arange(side) + 0.5) / side * 2 - 1  # of each pixel
        y, x = np.meshgrid(middle, middle, indexing="ij")
        return cls(x, y)


def render(channels: Tensor, spec: EnvSpec, mode: str) -> NDArray[np.uint8] | str:
    """Draw one observation.

    Args:
        channels: (C, H, W) agent, each end, oversight and, if there are any, walls.
        spec: names the ends.
        mode: "rgb_array" for (H * TILE, W * TILE, 3) uint8, "ansi" for lines of text.

    Raises:
        ValueError: if the mode is neither.
    """
    cells = channels.cpu().numpy() > 0
    if mode == "rgb_array":
        return _draw(cells, spec)
    if mode == "ansi":
        return _text(cells, spec)
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


def _draw(cells: Mask, spec: EnvSpec) -> NDArray[np.uint8]:
    """Paint each cell at three times its size and average down, which smooths the edges."""
    side = TILE * _OVERSAMPLING
    grid = _Grid.of(side)
    _, height, width = cells.shape
    picture = np.empty((height * side, width * side, 3), dtype=np.float32)
    for row, column in np.ndindex(height, width):
        tile = picture[row * side : (row + 1) * side, column * side : (column + 1) * side]
        _paint_cell(tile, grid, cells[:, row, column], spec)
    # (H * TILE, 3, W * TILE, 3, 3): axes 1 and 3 are the small pixels of a final one.
    blocks = picture.reshape(height * TILE, _OVERSAMPLING, width * TILE, _OVERSAMPLING, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def _paint_cell(tile: Tile, grid: _Grid, here: Mask, spec: EnvSpec) -> None:
    """Paint what is in one cell: `here` (C,) says which channels are marked."""
    ends = len(spec.outcomes)
    border = np.maximum(abs(grid.x), abs(grid.y))
    tile[:] = _OVERSEEN if here[1 + ends] else _PAPER
    tile[border > 0.96] = _LINE
    if len(here) > 2 + ends and here[2 + ends]:
        tile[border < 0.96] = _WALL
    for k in np.flatnonzero(here[1 : 1 + ends]):
        if spec.outcomes[k] == spec.target:
            _paint_diamond(tile, grid)
        else:
            _paint_ghost(tile, grid, _OTHERS[(k - 1) % len(_OTHERS)])
    if here[0]:
        tile[grid.x**2 + grid.y**2 < 0.42**2] = _AGENT
        shine = (grid.x + 0.12) ** 2 + (grid.y + 0.14) ** 2 < 0.09**2
        tile[shine] = _PAPER


def _paint_diamond(tile: Tile, grid: _Grid) -> None:
    """Paint a cut diamond: a rhombus with a lighter crown."""
    rhombus = abs(grid.x) * 1.15 + abs(grid.y) < 0.72
    tile[rhombus] = _TARGET
    crown = rhombus & (grid.y < -0.08)
    tile[crown] = tuple(min(255, c + 46) for c in _TARGET)
    tile[rhombus & (abs(grid.y + 0.08) < 0.03)] = _PAPER  # the line under the crown


def _paint_ghost(tile: Tile, grid: _Grid, colour: Colour) -> None:
    """Paint a ghost: a round head, a wavy hem, two eyes."""
    x, y = grid
    head = (x**2 + (y + 0.1) ** 2 < 0.55**2) & (y < 0)
    body = (abs(x) < 0.55) & (y >= -0.1) & (y < 0.5 + 0.1 * np.cos(x * 17))
    tile[head | body] = colour
    for eye in (-0.2, 0.2):
        tile[((x - eye) / 0.13) ** 2 + ((y + 0.12) / 0.17) ** 2 < 1] = _PAPER
        tile[(x - eye) ** 2 + (y + 0.08) ** 2 < 0.07**2] = _AGENT  # the pupil
