from __future__ import annotations

import torch
from helpers import world

from routed_rl.evaluation import Evaluator
from routed_rl.policy import Blueprint
from routed_rl.profiles import profiles, tabulate, weights
from routed_rl.revalued import Revalued


def test_every_set_but_the_empty_one_and_even_weights() -> None:
    assert profiles(("a", "b", "c")) == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert weights(("a", "c")) == {"a": 0.5, "c": 0.5}


def test_each_profile_is_judged_by_its_own_values() -> None:
    torch.manual_seed(0)
    policy = Blueprint((4, 3, 3), 4, ("diamond", "ghost"), (8,), gate=True).build()

    def evaluator(good: object) -> Evaluator:
        return Evaluator(lambda n, **_: Revalued(world(n, rows=3, columns=3), good), seed=0)  # type: ignore[arg-type]

    table = tabulate({"mixture": policy}, "diamond", ("diamond", "ghost"), evaluator)
    assert list(table) == ["diamond", "ghost", "diamond+ghost"]
    for name, report in table.items():
        reached = sum(report["outcomes"][end] for end in name.split("+"))
        assert abs(report["allowed"] - reached) < 1e-12
        assert abs(report["allowed"] + report["forbidden"] + report["outcomes"]["none"] - 1) < 1e-12
    assert table["diamond+ghost"]["forbidden"] < 1e-12
    assert table["diamond+ghost"]["return"] > 0.3
    lone = tabulate({"policy": policy}, "policy", ("diamond", "ghost"), evaluator)
    assert lone["diamond"]["allowed"] != lone["ghost"]["allowed"]
