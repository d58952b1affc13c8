"""A whole world as tables: any policy can be evaluated exactly, and any state drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True)
class TabularMDP:
    """A Markov decision process over S states and A actions.

    A state includes which ends are overseen in its episode, the oversight condition: so returns by
    condition are defined at an oversight of 0 and 1 too.
    """

    next_state: Tensor  # (S, A) int64; of no meaning where the action ends the episode
    outcome: Tensor  # (S, A) int64, k + 1 where outcome k happens, else 0
    terminates: Tensor  # (S, A) bool, the action ends the episode
    reward: Tensor  # (S, A) float, what the world pays
    true_reward: Tensor  # (S, A) float, what is wanted
    start_probability: Tensor  # (S,) of an episode's start at the world's oversight; sums to 1
    condition_probability: Tensor  # (S,) the same given the condition; sums to 1 over each of them
    overseen_ends: Tensor  # (S, K) bool, the condition
    observe: Callable[[Tensor], Tensor]  # states (n,) -> observations (n, *obs_shape)
    references: Mapping[str, Tensor] = field(default_factory=dict)
    """Name -> action probabilities (S, A): scripted policies to compare with."""
    board: Board | None = None
    """Where everything is in each state, if the world is one of cells."""
