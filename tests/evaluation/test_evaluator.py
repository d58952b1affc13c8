"""Exact and played evaluation say the same, and both fill in what result.json holds."""

from __future__ import annotations

import pytest
import torch
from helpers import world

from routed_rl.envs.gridworld import Gridworld
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec


def small_policy(shape: tuple[int, ...]) -> Policy:
    torch.manual_seed(0)
    return build_policy(PolicySpec(shape, 4, ("diamond", "ghost"), (8,), gate=True))


def small_world(num_envs: int, *, oversight: float | None = None) -> Gridworld:
    return world(num_envs, rows=3, columns=3, oversight=0.1 if oversight is None else oversight)


def test_a_full_report_has_all_fields_exact_or_not() -> None:
    policies = {"mixture": small_policy((4, 3, 3))}
    exact = Evaluator(small_world, seed=0).full(policies)["mixture"]
    sampled = Evaluator(small_world, seed=0, sampled=True, episodes=2000).full(policies)["mixture"]
    common = {"return", "exact", "unwatched", "greedy", "stepwise_return", "outcomes"}
    common |= {"mean_length", "by_oversight"}
    assert set(exact.to_json()) == common
    assert set(sampled.to_json()) == common | {"standard_error", "episodes"}
    assert exact.by_oversight is not None
    assert list(exact.by_oversight) == ["none", "diamond", "ghost", "diamond+ghost"]
    assert list(sampled.by_oversight or {}) == ["none", "all"]
    assert exact.unwatched == exact.by_oversight["none"]
    assert sum(exact.outcomes.values()) == pytest.approx(1)
    assert sampled.true_return == pytest.approx(exact.true_return, abs=0.1)
    assert sampled.greedy == pytest.approx(exact.greedy, abs=0.1)
    assert sampled.mean_length == pytest.approx(exact.mean_length, rel=0.1)


def test_a_point_of_a_curve_leaves_out_what_takes_more_plays() -> None:
    policies = {"mixture": small_policy((4, 3, 3))}
    whole = Evaluator(small_world, seed=0, sampled=True, episodes=64, curve_episodes=32)
    point = whole.returns(policies)["mixture"]
    assert point.episodes == 32
    assert point.stepwise_return is point.greedy is point.unwatched is point.by_oversight is None
    assert whole.full(policies)["mixture"].episodes == 64
    exact = Evaluator(small_world, seed=0)
    full = exact.full(policies)["mixture"].to_json()
    del full["greedy"]
    assert exact.returns(policies)["mixture"].to_json() == full


def test_an_evaluator_can_be_greedy() -> None:
    policies = {"mixture": small_policy((4, 3, 3))}
    wanted = Evaluator(small_world, seed=0).full(policies)["mixture"].greedy
    for sampled in (False, True):
        evaluator = Evaluator(small_world, seed=0, greedy=True, sampled=sampled, episodes=2000)
        assert evaluator.returns(policies)["mixture"].true_return == pytest.approx(wanted, abs=0.1)


def test_policies_meet_the_same_episodes() -> None:
    def spurious(num_envs: int, *, oversight: float | None = None) -> Gridworld:
        return world(num_envs, spurious_oversight=0.1)

    evaluator = Evaluator(spurious, seed=3, episodes=64)
    policy = small_policy((4, 5, 5))
    one, other = (evaluator.returns({"p": policy})["p"] for _ in range(2))
    assert one == other
    assert one.exact is False
    assert evaluator.references() == {}


def test_references_are_the_best_and_the_blind() -> None:
    references = Evaluator(lambda n, oversight=None: world(n), seed=0).references()
    assert references == pytest.approx(
        {"best possible": 0.9317, "diamond-seeker": 0.7432}, abs=1e-4
    )
