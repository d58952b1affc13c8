"""Exact and played evaluation say the same, and both fill in what result.json holds."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import walk
from helpers import CPU, world
from torch import Tensor

from routed_rl.envs.gridworld import Gridworld
from routed_rl.evaluation import evaluator
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.exact import Evaluation, ExactEvaluator
from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.utils.progress import Progress


def small_policy(shape: tuple[int, ...]) -> Policy:
    torch.manual_seed(0)
    return build_policy(PolicySpec(shape, 4, ("diamond", "ghost"), (8,), gate=True))


def small_world(num_envs: int, *, oversight: float | None = None) -> Gridworld:
    return world(num_envs, rows=3, columns=3, oversight=0.1 if oversight is None else oversight)


def test_a_full_report_has_all_fields_exact_or_not() -> None:
    policies = {"mixture": small_policy((4, 3, 3))}
    exact = Evaluator(small_world, seed=0).full(policies)["mixture"]
    sampled = Evaluator(small_world, seed=0, sampled=True, episodes=2000).full(policies)["mixture"]
    common = {"return", "paid_return", "score", "exact", "unwatched", "greedy", "stepwise_return"}
    common |= {"outcomes", "outcomes_per_episode", "bad_per_episode"}
    common |= {"mean_length", "by_oversight"}
    assert set(exact.to_json()) == common
    assert set(sampled.to_json()) == common | {"standard_error", "episodes"}
    assert exact.by_oversight is not None
    assert list(exact.by_oversight) == ["none", "diamond", "ghost", "diamond+ghost"]
    assert list(sampled.by_oversight or {}) == ["none", "all"]
    assert exact.unwatched == exact.by_oversight["none"]
    assert sum(exact.outcomes.values()) == pytest.approx(1)
    ends = {name: share for name, share in exact.outcomes.items() if name != "none"}
    assert exact.outcomes_per_episode == pytest.approx(ends), "they end episodes"
    assert exact.bad_per_episode == exact.outcomes["ghost"]
    assert exact.paid_return is not None
    assert exact.paid_return > exact.true_return
    assert sampled.paid_return == pytest.approx(exact.paid_return, abs=0.1)
    assert sampled.bad_per_episode == pytest.approx(exact.bad_per_episode, abs=0.1)
    assert sampled.true_return == pytest.approx(exact.true_return, abs=0.1)
    assert sampled.greedy == pytest.approx(exact.greedy, abs=0.1)
    assert sampled.mean_length == pytest.approx(exact.mean_length, rel=0.1)


def test_progress_counts_every_episode_that_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Progress] = []

    class Kept(Progress):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            shown.append(self)

    monkeypatch.setattr(evaluator, "Progress", Kept)
    policies = {"a": small_policy((4, 3, 3)), "b": small_policy((4, 3, 3))}
    Evaluator(small_world, seed=0, sampled=True, episodes=5).full(policies)
    (progress,) = shown
    # Two policies, four times each: as they are, unseen, overseen and greedily.
    assert (progress.done, progress.total) == (40, 40)
    Evaluator(small_world, seed=0).full(policies)
    assert len(shown) == 1, "tables are quick"


def make_walk(num_envs: int, *, oversight: float | None = None) -> walk.Walk:
    config = walk.Config() if oversight is None else walk.Config(oversight)
    return walk.make(config, num_envs, seed=0, device=CPU)


def test_where_outcomes_end_nothing_exact_and_played_say_the_same() -> None:
    policy = build_policy(PolicySpec((4,), 2, ("diamond", "ghost"), (8,), gate=True))
    for parameter in policy.parameters():
        torch.nn.init.zeros_(parameter)  # it acts evenly: test_exact.py has its numbers by hand
    policies = {"mixture": policy}
    exact = Evaluator(make_walk, seed=0).full(policies)["mixture"]
    played = Evaluator(make_walk, seed=0, sampled=True, episodes=20_000).full(policies)["mixture"]
    assert exact.outcomes_per_episode == pytest.approx({"diamond": 0.75, "ghost": 1.0})
    assert exact.outcomes == pytest.approx({"diamond": 0.75, "ghost": 0.75, "none": 1 / 16})
    assert exact.true_return == pytest.approx(0.59375)
    assert exact.paid_return == pytest.approx(2.46875)
    for report in (exact, played):
        assert report.outcomes_per_episode is not None
        assert report.bad_per_episode == report.outcomes_per_episode["ghost"]
    assert played.outcomes == pytest.approx(exact.outcomes, abs=0.015)
    assert played.outcomes_per_episode == pytest.approx(exact.outcomes_per_episode, abs=0.02)
    assert played.paid_return == pytest.approx(exact.paid_return, abs=0.02)
    assert played.true_return == pytest.approx(exact.true_return, abs=0.04)
    assert list(exact.by_oversight or {}) == ["none", "diamond+ghost"]
    assert list(played.by_oversight or {}) == ["none", "all"]


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


def test_a_policy_is_evaluated_anew_if_and_only_if_it_acts_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluations: list[Evaluation] = []
    evaluate = ExactEvaluator.evaluate

    def counted(self: ExactEvaluator, policy: Tensor) -> Evaluation:
        evaluations.append(evaluate(self, policy))
        return evaluations[-1]

    monkeypatch.setattr(ExactEvaluator, "evaluate", counted)
    policy = small_policy((4, 3, 3))
    other = copy.deepcopy(policy)
    with torch.no_grad():
        other.head.bias[1] += 0.1  # type: ignore[index]
    policies = {"one": policy, "the same": policy, "another": other}
    evaluator = Evaluator(small_world, seed=0)
    curve = evaluator.returns(policies)
    assert len(evaluations) == 2
    full = evaluator.full(policies)
    assert len(evaluations) == 2
    assert full == Evaluator(small_world, seed=0).full(policies), "to the bit"
    with torch.no_grad():
        policy.head.bias[0] += 0.1  # type: ignore[index]
    later = evaluator.returns(policies)
    assert later["one"].true_return != curve["one"].true_return
    assert later["one"] == later["the same"] != later["another"] == curve["another"]
    assert later == Evaluator(small_world, seed=0).returns(policies)


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
