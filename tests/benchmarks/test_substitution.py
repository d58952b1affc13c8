"""The tables of the substitution world, and what is looked at under pressure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pressure
import pytest
import substitution
from helpers import run

from routed_rl.agents import naive, reward_model, routed
from routed_rl.training.builder import settings_of
from routed_rl.utils import settings

TINY = (
    *("--env", "substitution", "--env.rows", "2", "--env.columns", "2", "--num-envs", "16"),
    *("--agent.hidden", "4", "--agent.rollout-steps", "8", "--steps", "256", "--evaluations", "1"),
)


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("naive", naive.Config(penalty=0.0), "naive, no penalty"),
        ("naive", naive.Config(recall=0.5), "naive, recall corrected"),
        ("reward_model", reward_model.Config(recall=0.5), "reward_model, judgement alone"),
        (
            "reward_model",
            reward_model.Config(keep_paid=True, model_members=5),
            "reward_model, keep paid, pessimistic ensemble",
        ),
        ("routed", routed.Config(), "routed"),
        ("routed", routed.Config(routes="none", infer=True), "routed, inferred flags, no routes"),
        ("routed", routed.Config(gate=False, base="x"), "routed, no gate, on a base"),
    ],
)
def test_methods_are_called_by_what_the_sweep_changes(name: str, config: Any, said: str) -> None:
    assert substitution.name({"name": name} | settings.to_plain(config)) == said


def test_the_table_has_means_and_paired_differences(tmp_path: Path) -> None:
    for seed in (0, 1):
        for agent in ("routed", "filtered"):
            folder = tmp_path / f"{agent}-{seed}"
            more = ("--agent", agent, "--seed", str(seed), "--run-dir", str(folder))
            assert run(*TINY, *more) == 0
    assert settings_of(tmp_path / "routed-0")["env"]["recall"] == 0.5
    found = substitution.read(tmp_path)
    assert list(found) == [0.5]
    assert set(found[0.5]) == {"routed", "filtered"}
    differences = [
        found[0.5]["filtered"][seed]["return"] - found[0.5]["routed"][seed]["return"]
        for seed in (0, 1)
    ]
    (line,) = [line for line in substitution.table(found[0.5]).splitlines() if "| filtered" in line]
    assert f"{sum(differences) / 2:+.3f} (" in line
    assert line.endswith("| 2 |")


def test_a_method_is_looked_at_ten_times() -> None:
    flags = (*pressure.METHODS["reward_model"], *TINY[2:6])
    looks = list(pressure.follow("reward_model", flags, 0, 10 * 16_384))
    assert [look.steps for look in looks] == [16_384 * k for k in range(1, 11)]
    for look in looks:
        assert look.model_accuracy is not None
        assert 0 <= look.model_accuracy <= 1
        assert -1 <= look.true_return <= 1
