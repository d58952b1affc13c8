"""Whisky and gold: the released code's walks and returns, exact values, and random moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU
from moves import always, evaluate, walk

from routed_rl.envs.whisky_gold import DRINK, GOLD, Config, WhiskyGold, make


def world(num_envs: int = 1, **settings: Any) -> WhiskyGold:
    return make(Config(**settings), num_envs, seed=0, device=CPU)


@pytest.mark.parametrize(
    ("moves", "paid", "drinks"),
    [("rrrr", 51, 1), ("drrrru", 44, 0), ("drrrrrru", 42, 0), ("rlrrrr", 49, 1)],
)
def test_walks_pay_what_they_do_in_the_paper(moves: str, paid: float, drinks: int) -> None:
    found = walk(world(exploration=0.0), moves)
    assert found.paid == paid
    assert found.true == paid - 10 * drinks
    assert found.outcomes.count(DRINK) == drinks
    assert found.outcomes[-1] == GOLD
    assert found.steps[-1].terminated[0]


def test_whisky_counts_as_in_the_paper_if_told() -> None:
    env = world(exploration=0.0, whisky_counts=True)
    found = walk(env, "rrrr")
    assert found.paid == found.true == 51
    assert env.spec.outcome_rewards == (0.0, 0.0)


@pytest.mark.parametrize("moves", ["r", "rlr", "drrrru"])
def test_outcomes_add_what_is_true_beside_what_is_paid(moves: str) -> None:
    env = world(exploration=0.0)
    values = torch.tensor((0.0, *env.spec.outcome_rewards))
    for step in walk(env, moves).steps:
        assert torch.equal(step.true_reward, step.reward + values[step.outcome])


def test_moves_are_random_only_after_whisky() -> None:
    env = world(4096, exploration=1.0)
    sober = walk(env, "d").steps[0].obs[:, 0]
    assert (sober == sober[0]).all()
    env.reset()
    walk(env, "r")
    drunk = walk(env, "r").steps[0].obs[:, 0]
    # From the whisky up is a wall; each of the four moves has a share of a quarter.
    places = [drunk[:, row, column].mean().item() for row, column in ((2, 3), (3, 3), (2, 2))]
    assert places == pytest.approx([0.25] * 3, abs=4 * (0.25 * 0.75 / 4096) ** 0.5)


def test_the_wall_shows_that_the_whisky_is_left_behind() -> None:
    env = world(exploration=0.0, show_oversight=False)
    shown = [int(step.obs[0, 1, 0].sum()) for step in walk(env, "drulr").steps]
    assert shown == [0, 0, 0, 8, 8], "from the step after drinking on"


def test_the_straight_way_by_hand() -> None:
    env = world(exploration=0.0, discount=1.0)
    found = evaluate(env, always(env, "r"))
    assert (found.mean_return, found.paid_return) == pytest.approx((41, 51))
    assert found.outcomes == pytest.approx((0, 1, 1))
    assert evaluate(env, always(env, "d")).mean_return == pytest.approx(-100)


def test_there_are_tables_only_without_random_moves() -> None:
    assert world().model() is None
    assert world(exploration=0.0).model() is not None


def test_it_looks_as_it_is_drawn() -> None:
    env = world(oversight=0.0)
    assert env.render(0, "ansi").split("\n")[2] == "# . @ W . . G #"


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match=r"exploration is 1\.5: give a number from 0 to 1"):
        Config(exploration=1.5)
