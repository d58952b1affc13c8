"""Boards on which all that a move does follows from a few states: played, and evaluated, by tables.

A state is where everything is, and n of them are numbered. Whether the episode is overseen is no
part of it, since no move changes that.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.worlds.scene import Scene
from routed_rl.worlds.tables import Board, TabularMDP

from .board import FREE, WALL, WORDS, draw
from .grid import MOVES
from .gridworld_art import TILE
from .safety_grid import ConfigT, Deeds, SafetyGrid


class Rules(NamedTuple):
    """What each of A moves does in each of n states."""

    start: int  # the state that episodes start in
    next_state: Tensor  # (n, A) int64
    outcome: Tensor  # (n, A) int64, 0 or k + 1
    terminates: Tensor  # (n, A) bool
    reward: Tensor  # (2, n, A) float, what is paid where nobody looks, and where the overseer does
    true_reward: Tensor  # (n, A) float
    frames: Tensor  # (n, C, H, W) what is seen in each state, without the oversight
    pictured: Tensor  # (F,) int64, for pictures: a state with the agent on each of the free cells


class TableGrid(SafetyGrid[ConfigT]):
    """B boards that are played by `Rules`."""

    STATE = ("states", "age")

    def __init__(self, config: ConfigT, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` boards whose draws all come from `seed`."""
        super().__init__(config, num_envs, seed=seed, device=device)
        self._rules = self._write_rules()
        self._states = torch.full((num_envs,), self._rules.start, device=self.device)  # (B,)
        self.reset()

    @abstractmethod
    def _write_rules(self) -> Rules:
        """Write down what each move does in each state."""

    def _move(self, actions: Tensor) -> Deeds:
        """Look up what actions (B,) do."""
        rules = self._rules
        here = self._states
        self._states = rules.next_state[here, actions]
        return Deeds(
            reward=rules.reward[self._oversight.overseen.long(), here, actions],
            true_reward=rules.true_reward[here, actions],
            outcome=rules.outcome[here, actions],
            terminated=rules.terminates[here, actions],
        )

    def _begin(self, done: Tensor) -> None:
        self._states = torch.where(done, self._rules.start, self._states)

    def _frames(self) -> Tensor:
        return self._rules.frames[self._states]

    def model(self) -> TabularMDP | None:
        """Return the world as tables: state n * w + s is s with (w = 1) or without an overseer."""
        rules = self._rules
        count = len(rules.next_state)  # n
        starts = torch.tensor((rules.start, count + rules.start), device=self.device)
        oversight = self.config.overseer.probability
        numbers = {"dtype": torch.float64, "device": self.device}
        probability = torch.tensor((1 - oversight, oversight), **numbers)
        zeros = torch.zeros(2 * count, **numbers)
        overseen = torch.arange(2 * count, device=self.device) >= count  # (S,)
        return TabularMDP(
            next_state=torch.cat((rules.next_state, rules.next_state + count)),
            outcome=rules.outcome.repeat(2, 1),
            terminates=rules.terminates.repeat(2, 1),
            reward=rules.reward.flatten(0, 1),
            true_reward=rules.true_reward.repeat(2, 1),
            start_probability=zeros.index_put((starts,), probability),
            condition_probability=zeros.index_fill(0, starts, 1.0),
            overseen_ends=overseen[:, None].repeat(1, len(self.spec.outcomes)),
            observe=lambda states: self._look(states % count, overseen[states]),
            board=self._board(),
        )

    def _board(self) -> Board:
        """Say where everything is in each state: what can change, and what letters stay."""
        frames = self._rules.frames.flatten(2)  # (n, C, cells)
        away = frames.shape[2]
        things = ["agent"]
        cells = [frames[:, 0].argmax(dim=1)]
        for letter, marks in zip(self.LAYERS, frames[:, 1:].unbind(dim=1), strict=False):
            for cell in marks.any(dim=0).nonzero().flatten().tolist():
                things.append(WORDS[letter])
                cells.append(torch.where(marks[:, cell] > 0, cell, away))
        for cell, letter in enumerate(self.board.letters):
            if letter not in WALL + FREE + self.LAYERS:
                things.append(WORDS[letter])
                cells.append(torch.full_like(cells[0], cell))
        return Board(
            rows=self.board.rows,
            columns=self.board.columns,
            things=tuple(things[1:]),
            cells=torch.stack(cells, dim=1).repeat(2, 1),
            moves=torch.tensor(MOVES),
            walls=self.board.where(WALL),
        )

    def scenes(self) -> list[Scene]:
        """Return the board as it is unseen and, if that shows, overseen."""
        return list(self._scenes())

    def _scenes(self) -> Iterator[Scene]:
        cells = self.board.free
        places = torch.stack((cells // self.board.columns, cells % self.board.columns), dim=1)
        states = self._rules.pictured
        for overseen in (False, True)[: 1 + self.config.show_oversight]:
            obs = self._look(states, torch.full_like(states, overseen, dtype=torch.bool))
            empty = self._rules.frames[self._rules.start].clone()
            empty[0] = 0.0  # the board without the agent
            yield Scene(
                title="overseen" if overseen else "unseen",
                obs=obs,
                cells=places,
                moves=torch.tensor(MOVES),
                background=draw(self._lines(empty), "rgb_array", overseen=overseen),
                tile=TILE,
            )

    def _look(self, states: Tensor, overseen: Tensor) -> Tensor:
        """Return what is seen in states (N,) of episodes that are overseen or not, (N,) bool."""
        frames = self._rules.frames[states]
        if not self.config.show_oversight:
            return frames
        shown = overseen.float()[:, None, None, None].expand_as(frames[:, :1])
        return torch.cat((frames, shown), dim=1)
