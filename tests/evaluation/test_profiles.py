"""A policy for each set of outcomes that a deployment may allow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from helpers import world

from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.profiles import tabulate
from routed_rl.models.build import build_policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.utils.errors import UserError
from routed_rl.worlds.reward_override import RewardOverride

OUTCOMES = ("diamond", "ghost")


def evaluator(good: Sequence[str]) -> Evaluator:
    def make_env(num_envs: int, *, oversight: float | None = None) -> RewardOverride:
        return RewardOverride(world(num_envs, rows=3, columns=3), good)

    return Evaluator(make_env, seed=0)


def test_each_profile_is_judged_by_its_own_values() -> None:
    torch.manual_seed(0)
    policy = build_policy(PolicySpec((4, 3, 3), 4, OUTCOMES, (8,), gate=True))
    table = tabulate({"mixture": policy}, "mixture", OUTCOMES, evaluator)
    assert list(table) == ["diamond", "ghost", "diamond+ghost"]
    for name, found in table.items():
        outcomes = found.report.outcomes
        reached = sum(outcomes[end] for end in name.split("+"))
        assert found.allowed == pytest.approx(reached)
        assert found.allowed + found.forbidden + outcomes["none"] == pytest.approx(1)
    both = table["diamond+ghost"]
    assert abs(both.forbidden) < 1e-12
    assert both.report.true_return > 0.3
    plain = both.to_json()
    assert plain["return"] == both.report.true_return
    assert (plain["allowed"], plain["forbidden"]) == (both.allowed, both.forbidden)


def test_a_single_network_is_the_same_in_every_profile() -> None:
    torch.manual_seed(0)
    policy = build_policy(PolicySpec((4, 3, 3), 4, ("policy",), (8,)))
    table = tabulate({"policy": policy}, "policy", OUTCOMES, evaluator)
    assert table["diamond"].report.outcomes == table["ghost"].report.outcomes
    assert table["diamond"].allowed != table["ghost"].allowed


def test_there_must_be_an_expert_for_each_outcome() -> None:
    policy = build_policy(PolicySpec((4, 3, 3), 4, ("diamond", "flagged"), (8,), gate=True))
    with pytest.raises(UserError, match="this run has diamond and flagged: train one without"):
        tabulate({"mixture": policy}, "mixture", OUTCOMES, evaluator)
