"""Small worlds of plain lists: drawn at random, and played in step as a `VecEnv`."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

import torch
from helpers import CPU
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv

NAMES = ("good", "bad", "ugly")
"""Of outcomes, as many of them as a world has."""


class Move(NamedTuple):
    """What an action does in a state."""

    next_state: int
    outcome: int
    ends: bool
    paid: float
    true: float


@dataclass(frozen=True)
class World:
    """A world of S states and A actions."""

    moves: list[list[Move]]  # S x A
    start: list[float]  # S, probability that an episode starts there
    worth: tuple[float, ...]  # K, what each outcome is truly worth
    horizon: int
    discount: float
    outcomes_end: bool
    oversight: Literal["none", "all", "episode", "step"]
    error: float  # probability that a report is drawn at random

    @property
    def share(self) -> float:
        """The probability that an episode is overseen from its first step to its last."""
        return {"none": 0.0, "all": 1.0, "episode": 0.4, "step": 0.0}[self.oversight]

    @property
    def spec(self) -> EnvSpec:
        """What everybody may know: the state, and whether the whole episode is overseen."""
        outcomes = NAMES[: len(self.worth)]
        return EnvSpec(
            obs_shape=(len(self.start) + 1,),
            num_actions=len(self.moves[0]),
            outcomes=outcomes,
            target=outcomes[0],
            outcome_rewards=self.worth,
            discount=self.discount,
            horizon=self.horizon,
            oversight_channel=len(self.start),
            outcomes_end=self.outcomes_end,
        )


def random_world(seed: int) -> World:
    """Draw a world.

    Hypothesis draws the seed only. Drawn by it one by one, too many numbers are the least that they
    can be, and in 60 worlds no episode had two reports of different worth.
    """
    draw = Random(seed)
    states = draw.randint(2, 6)
    actions = draw.randint(1, 3)
    worth = tuple(_quarters(draw) for _ in range(draw.choice((1, 2, 3, 3))))
    outcomes_end = draw.random() < 0.3
    ending = draw.choice((0.0, 0.1, 0.3))

    def move() -> Move:
        outcome = draw.randint(1, len(worth)) if draw.random() < 0.4 else 0
        ends = draw.random() < ending
        true = _quarters(draw)
        paid = _quarters(draw)
        if outcomes_end:
            # Outcomes end episodes, nothing else does, and each is worth all of the true reward.
            # Any other step is worth what it pays.
            ends = outcome > 0
            true = worth[outcome - 1] if ends else paid
        return Move(draw.randrange(states), outcome, ends, paid, true)

    moves = [[move() for _ in range(actions)] for _ in range(states)]
    start = [0.0] * states
    start[draw.randrange(states)] += 0.75
    start[draw.randrange(states)] += 0.25
    return World(
        moves,
        start,
        worth,
        horizon=draw.randint(1, 8),
        discount=draw.choice((0.5, 0.9, 1.0)),
        outcomes_end=outcomes_end,
        oversight=draw.choice(("none", "all", "episode", "step", "step")),
        error=draw.choice((0.0, 0.5)),
    )


def random_policy(world: World, seed: int) -> list[list[float]]:
    """Draw action probabilities, 2S x A: in episodes that are not overseen, then in those that are.

    Some are 0.
    """
    draw = Random(seed)
    policy = []
    for _ in range(2 * len(world.start)):
        weights = [draw.randint(0, 3) for _ in world.moves[0]]
        weights[draw.randrange(len(weights))] += 1
        policy.append([weight / sum(weights) for weight in weights])
    return policy


def _quarters(draw: Random) -> float:
    """Draw a reward. Sums of a few quarters are exact in any order: they can be compared by ==."""
    return draw.randint(-8, 8) / 4


worlds = st.integers(0, 2**32).map(random_world)
"""Draws worlds."""


class RandomWorld(VecEnv):
    """Plays a `World`. States s + S are those of episodes that are overseen as a whole."""

    device = CPU

    def __init__(self, world: World, num_envs: int, *, seed: int = 0) -> None:
        self.world = world
        self.spec = world.spec
        self.num_envs = num_envs
        self._generator = torch.Generator().manual_seed(seed)
        self._tables = world_tables(world)

    def reset(self) -> Tensor:
        self._state = self._starts()
        self._age = torch.zeros(self.num_envs, dtype=torch.int64)
        return self._tables.observe(self._state)

    def step(self, actions: Tensor) -> Step:
        tables = self._tables
        here = (self._state, actions)
        outcome = tables.outcome[here]
        terminated = tables.terminates[here]
        overseen, reported = self._see(outcome, terminated)
        self._age += 1
        truncated = ~terminated & (self._age == self.spec.horizon)
        led_to = tables.next_state[here]
        done = terminated | truncated
        self._state = torch.where(done, self._starts(), led_to)
        self._age[done] = 0
        return Step(
            obs=tables.observe(self._state),
            final_obs=tables.observe(led_to),
            reward=tables.reward[here],
            true_reward=tables.true_reward[here],
            terminated=terminated,
            truncated=truncated,
            outcome=outcome,
            overseen=overseen,
            reported=reported,
        )

    def model(self) -> TabularMDP:
        return self._tables

    def state_of(self, obs: Tensor) -> Tensor:
        """Read the numbers of the states, (n,), from what they show."""
        states = obs.shape[1] - 1
        return obs[:, :states].argmax(dim=1) + states * obs[:, -1].long()

    def _see(self, outcome: Tensor, terminated: Tensor) -> tuple[Tensor, Tensor]:
        kinds = len(self.spec.outcomes)
        uniform = torch.rand(2, self.num_envs, generator=self._generator)
        looks = self._state >= len(self.world.start)
        if self.world.oversight == "step":
            looks = uniform[0] < 0.5
        # A wrong report may also miss what happened, or see what did not, unless an end tells.
        least = int(self.spec.outcomes_end)
        other = torch.randint(least, kinds + 1, outcome.shape, generator=self._generator)
        if self.spec.outcomes_end:
            looks = looks & terminated
        said = torch.where(uniform[1] < self.world.error, other, outcome)
        return looks, torch.where(looks, said, 0)

    def _starts(self) -> Tensor:
        probability = self._tables.start_probability
        count = self.num_envs
        return probability.multinomial(count, replacement=True, generator=self._generator)


def world_tables(world: World) -> TabularMDP:
    """Write a world's lists as tables over 2S states."""
    states = len(world.start)
    kinds = len(world.worth)

    def table(field: str) -> Tensor:
        rows = [[getattr(move, field) for move in row] for row in world.moves]
        return torch.tensor(rows).repeat(2, 1)

    overseen = torch.arange(2 * states) >= states
    start = torch.tensor(world.start, dtype=torch.float64)

    def observe(numbers: Tensor) -> Tensor:
        place = functional.one_hot(numbers % states, states)
        return torch.cat((place, overseen[numbers, None]), dim=1).float()

    return TabularMDP(
        next_state=table("next_state") + states * overseen[:, None],
        outcome=table("outcome"),
        terminates=table("ends"),
        reward=table("paid"),
        true_reward=table("true"),
        start_probability=torch.cat(((1 - world.share) * start, world.share * start)),
        condition_probability=torch.cat((start, start)),
        overseen_ends=overseen[:, None].expand(-1, kinds),
        observe=observe,
    )
