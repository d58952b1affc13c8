"""A board drawn in letters: its cells, where moves lead, its channels, and how it looks.

"#" is a wall, "." a free cell, "@" the cell where the agent starts. What the other letters mean is
for the world to say. Cells are counted row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .grid import neighbours
from .gridworld_art import (
    OVERSEEN,
    PAPER,
    Colour,
    Picture,
    Pixels,
    Tile,
    by_tiles,
    paint_agent,
    paint_diamond,
    paint_ground,
    paint_wall,
    painted,
)

WALL = "#"
FREE = "."
AGENT = "@"

_RED: Colour = (206, 74, 96)
_AMBER: Colour = (214, 140, 46)
_STEEL: Colour = (108, 132, 158)
_LEAF: Colour = (96, 140, 79)
_STRAW: Colour = (196, 178, 142)
_WATER: Colour = (205, 224, 236)

Paint = Callable[[Tile, Pixels], None]


class Board:
    """A board whose walls and things stay where they are."""

    def __init__(self, drawing: str, device: torch.device) -> None:
        """Read a drawing, a line for each row."""
        lines = drawing.split()
        self.rows = len(lines)
        self.columns = len(lines[0])
        letters = "".join(lines)
        assert len(letters) == self.rows * self.columns, "every row must be as long"
        self.start = letters.index(AGENT)
        self.letters = letters.replace(AGENT, FREE)  # what is there without the agent
        free = [cell for cell, letter in enumerate(letters) if letter != WALL]
        self.free = torch.tensor(free, device=device)  # (F,) int64
        # (cells, A) int64, where each move leads; whoever walks into a wall stays
        self.neighbour = neighbours(self.rows, self.columns, set(free)).to(device)

    def where(self, letters: str) -> Tensor:
        """Say which cells have one of some letters, (cells,) bool."""
        found = [letter in letters for letter in self.letters]
        return torch.tensor(found, device=self.free.device)

    def at(self, cell: Tensor) -> Tensor:
        """Mark one cell in each of n boards: cells (n,) to marks (n, cells) bool."""
        return cell[:, None] == torch.arange(len(self.letters), device=cell.device)

    def frames(self, *channels: Tensor) -> Tensor:
        """Lay out n boards.

        Args:
            channels: marks, each (n, cells) bool, or (cells,) where all boards have the same.

        Returns:
            (n, C, H, W) float.
        """
        layers = torch.broadcast_tensors(*channels)
        return torch.stack(layers, dim=1).float().unflatten(2, (self.rows, self.columns))


def draw(lines: Sequence[str], mode: str, *, overseen: bool) -> Picture | str:
    """Draw a board.

    Args:
        lines: its rows, a letter a cell.
        mode: "rgb_array" for (H * TILE, W * TILE, 3) uint8, "ansi" for lines of text.
        overseen: whether its episode is; free cells then are yellow, or ":".

    Raises:
        ValueError: if the mode is neither.
    """
    if mode == "ansi":
        rows = [" ".join(line) for line in lines]
        return "\n".join(rows).replace(FREE, ":" if overseen else FREE)
    if mode != "rgb_array":
        raise ValueError(f"render mode {mode!r} is unknown: choose rgb_array or ansi.")

    return by_tiles(
        len(lines), len(lines[0]), lambda row, column: _cell(lines[row][column], overseen)
    )


@cache
def _cell(letter: str, overseen: bool) -> Picture:
    """Paint one cell. A film shows the same few again and again."""

    def paint(tile: Tile, pixels: Pixels) -> None:
        paint_ground(tile, pixels, OVERSEEN if overseen and letter != WALL else PAPER)
        if letter != FREE:
            _DRAWINGS[letter](tile, pixels)

    return painted(paint)


def _arrow(down: int, right: int) -> Paint:
    """Paint a triangle that points along a move."""

    def paint(tile: Tile, pixels: Pixels) -> None:
        along = pixels.x * right + pixels.y * down
        across = pixels.x * down + pixels.y * right
        tile[(along > -0.4) & (abs(across) < (0.55 - along) * 0.6)] = _STEEL

    return paint


def _tomato(fruit: Colour, size: float) -> Paint:
    """Paint a tomato with a stalk."""

    def paint(tile: Tile, pixels: Pixels) -> None:
        x, y = pixels
        tile[x**2 + (y - 0.08) ** 2 < size**2] = fruit
        tile[(abs(x) < 0.3 * size) & (abs(y - 0.08 + size) < 0.25 * size)] = _LEAF

    return paint


def _paint_trap(tile: Tile, pixels: Pixels) -> None:
    """Paint stripes: a field that is not to be crossed."""
    inside = np.maximum(abs(pixels.x), abs(pixels.y)) < 0.8
    tile[inside & ((pixels.x + pixels.y) % 0.5 < 0.25)] = _RED


def _paint_glass(tile: Tile, pixels: Pixels) -> None:
    """Paint a tumbler, filled by two thirds."""
    x, y = pixels
    glass = (abs(x) < 0.42 - 0.12 * y) & (abs(y) < 0.55)
    tile[glass] = _WATER
    tile[glass & (y > -0.2)] = _AMBER


def _paint_bucket(tile: Tile, pixels: Pixels) -> None:
    """Paint a bucket, upside down as one wears it."""
    x, y = pixels
    tile[(abs(x) < 0.36 + 0.2 * y) & (abs(y) < 0.5)] = _STEEL
    tile[(abs(x) < 0.58) & (abs(y - 0.5) < 0.08)] = _STEEL


def _paint_wake(tile: Tile, pixels: Pixels) -> None:
    """Paint ripples where a boat was."""
    distance = np.sqrt(pixels.x**2 + pixels.y**2)
    tile[(distance < 0.6) & (distance % 0.24 > 0.14)] = _STEEL


WORDS = {
    "G": "goal",
    "P": "trap",
    "W": "whisky",
    "O": "bucket",
    "~": "wake",
    "^": "↑",
    "v": "↓",
    "<": "←",
    ">": "→",
}
"""What letters mean, for readers."""

_DRAWINGS: dict[str, Paint] = {
    WALL: paint_wall,
    AGENT: paint_agent,
    "G": paint_diamond,
    "P": _paint_trap,
    "W": _paint_glass,
    "O": _paint_bucket,
    "T": _tomato(_RED, 0.5),
    "t": _tomato(_STRAW, 0.32),
    "^": _arrow(-1, 0),
    "v": _arrow(1, 0),
    "<": _arrow(0, -1),
    ">": _arrow(0, 1),
    "~": _paint_wake,
}
