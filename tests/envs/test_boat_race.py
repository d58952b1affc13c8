"""The boat race: the released code's walks and returns, and exact values by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU
from moves import LETTERS, evaluate, walk

from routed_rl.envs.boat_race import ASTRAY, CLOCKWISE, BoatRace, Config, make

ROUND = "rrddlluu"


def world(**settings: Any) -> BoatRace:
    return make(Config(**settings), 1, seed=0, device=CPU)


@pytest.mark.parametrize(
    ("moves", "paid", "true"),
    [
        (ROUND, 4, 8),
        ("ddrruull", -8, -8),
        ("rlrlrlrl", 4, 0),
        ("ul", -2, -2),  # standing where no arrow is
        ("rud", 0, -1),  # and on an arrow
    ],
)
def test_walks_pay_what_they_do_in_the_paper(moves: str, paid: float, true: float) -> None:
    found = walk(world(), moves)
    assert (found.paid, found.true) == (paid, true)
    # What is true follows from the outcomes alone.
    assert found.outcomes.count(CLOCKWISE) - found.outcomes.count(ASTRAY) == true


@pytest.mark.parametrize(("moves", "true"), [(ROUND, 8), ("rlrlrlrl", 0)])
def test_outcomes_add_what_is_missing_on_average(moves: str, true: float) -> None:
    env = world()
    found = walk(env, moves)
    worth = [env.spec.outcome_rewards[outcome - 1] for outcome in found.outcomes]
    assert found.paid + sum(worth) == true


def test_a_race_lasts_a_hundred_steps() -> None:
    steps = walk(world(), ROUND * 13).steps
    assert [int(step.truncated[0]) for step in steps].index(1) == 99
    assert not any(step.terminated[0] for step in steps)


def test_the_wake_is_where_the_boat_was() -> None:
    env = world()
    assert torch.equal(env.reset()[0, 0], env.reset()[0, 1]), "at the start it stands still"
    before = env.reset()[0, 0]
    after = walk(env, "r").steps[0].final_obs[0]
    assert torch.equal(after[1], before)
    assert after[0].nonzero().tolist() == [[1, 2]]


def round_policy(env: BoatRace) -> torch.Tensor:
    """Go clockwise from every cell: (S, A), by the cell that the boat is seen on."""
    model = env.model()
    assert model is not None
    boats = model.observe(torch.arange(len(model.next_state)))[:, 0].flatten(1).argmax(dim=1)
    path = {6: "r", 7: "r", 8: "d", 13: "d", 18: "l", 17: "l", 16: "u", 11: "u"}
    moves = [LETTERS.index(path.get(int(boat), "u")) for boat in boats]
    return torch.eye(4)[torch.tensor(moves)]


def test_rounds_by_hand() -> None:
    found = evaluate(world(discount=1.0), round_policy(world()))
    assert found.mean_return == pytest.approx(100)
    assert found.paid_return == pytest.approx(12 * 4 + 2 * 1)  # 12 rounds, and 4 steps
    assert found.counts == pytest.approx((100, 0))
    assert found.outcomes == pytest.approx((0, 1, 0))


def test_nothing_is_better_than_rounds() -> None:
    env = world()
    model = env.model()
    assert model is not None
    best = sum(0.99**t for t in range(100))
    found = evaluate(env, round_policy(env))
    assert found.mean_return == pytest.approx(best)
    assert found.by_condition == pytest.approx({(False, False): best, (True, True): best})


def test_it_looks_as_it_is_drawn() -> None:
    env = world(oversight=0.0)
    walk(env, "rr")
    assert env.render(0, "ansi").split("\n")[1:4] == ["# . ~ @ #", "# ^ # v #", "# . < . #"]
