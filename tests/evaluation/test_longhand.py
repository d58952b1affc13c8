"""Evaluation, exact and by episodes, equals a longhand version, in worlds of many kinds."""

from __future__ import annotations

import math
from typing import Any

import longhand
import pytest
import torch
from examined import examples
from hypothesis import given
from hypothesis import strategies as st
from random_worlds import RandomWorld, World, random_policy, worlds
from torch import Tensor

from routed_rl.evaluation.episodes import play
from routed_rl.evaluation.exact import ExactEvaluator


@examples(80)
@given(worlds, st.integers(0, 99), st.integers(1, 4))
def test_exact_evaluation_adds_up_every_episode(world: World, seed: int, window: int) -> None:
    policy = random_policy(world, seed)
    exact = ExactEvaluator(
        RandomWorld(world, 1).model(), horizon=world.horizon, discount=world.discount
    )
    table = torch.tensor(policy, dtype=torch.float64)
    found = exact.evaluate(table, window=window)
    expected = {name: value.mean for name, value in longhand.evaluate(world, policy).items()}
    kinds = range(1, len(world.worth) + 1)

    def near(*names: str) -> Any:
        return pytest.approx([expected[name] for name in names], abs=1e-9)

    assert [found.mean_return, exact.mean_return(table)] == near("return", "return")
    assert [found.paid_return, found.score, found.mean_length] == near("paid", "score", "length")
    assert list(found.outcomes) == near("none", *(f"share {kind}" for kind in kinds))
    assert list(found.counts) == near(*(f"count {kind}" for kind in kinds))
    conditions = [(overseen,) * len(world.worth) for overseen in (False, True)]
    assert set(found.by_condition) == set(conditions)
    assert [found.by_condition[name] for name in conditions] == near("unseen", "overseen")
    by_windows = longhand.stepwise(world, policy, window)
    assert found.stepwise_return == pytest.approx(by_windows, abs=1e-9)


class TablePolicy:
    """Acts by a table of action probabilities."""

    def __init__(self, env: RandomWorld, table: Tensor) -> None:
        self._env = env
        self._table = table

    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool) -> Tensor:
        assert not greedy
        rows = self._table[self._env.state_of(obs)]
        return rows.multinomial(1, generator=generator).squeeze(1)


@examples(30)
@given(worlds, st.integers(0, 99))
def test_played_episodes_agree_within_four_standard_errors(world: World, seed: int) -> None:
    policy = random_policy(world, seed)
    env = RandomWorld(world, 256)
    table = torch.tensor(policy, dtype=torch.float64)
    report = play(TablePolicy(env, table), env, quota=8, seed=1)  # type: ignore[arg-type]
    names = env.spec.outcomes
    found = {
        "return": report.true_return,
        "paid": report.paid_return,
        "score": report.score,
        "length": report.mean_length,
        "none": report.outcomes["none"],
    }
    for k, name in enumerate(names):
        found[f"share {k + 1}"] = report.outcomes[name]
        found[f"count {k + 1}"] = report.outcomes_per_episode[name]
    assert report.episodes == 256 * 8
    expected = longhand.evaluate(world, policy)
    for name, value in found.items():
        mean, deviation = expected[name]
        # What happens in hardly any episode may happen in one or two more.
        error = 4 * deviation / math.sqrt(report.episodes) + 2 / report.episodes
        assert abs(value - mean) <= error, name
    assert report.standard_error is not None
    exact_error = expected["return"].deviation / math.sqrt(report.episodes)
    assert report.standard_error == pytest.approx(exact_error, rel=0.3, abs=0.005)
