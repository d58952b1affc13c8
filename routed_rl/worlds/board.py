"""Where everything is in each state of a world of cells: enough to draw any of them, or to play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Board:
    """Cells, counted row by row, and what is on them in each of S states.

    With tables the report page plays the world by it. Things keep their order: two states with the
    same things in other cells are two placements of the same board.
    """

    rows: int
    columns: int
    things: tuple[str, ...]
    """What there is beside the agent, T names. One that is an outcome's is drawn as that."""
    cells: Tensor  # (S, 1 + T) int64, of the agent and each thing; rows * columns: it is not there
    moves: Tensor  # (A, 2) rows down and columns right of each action
    walls: Tensor  # (rows * columns,) bool
    shown: Mapping[str, Tensor] = field(default_factory=dict)
    """What else tells states apart: a word -> (S,) bool, whether it is true of a state."""
