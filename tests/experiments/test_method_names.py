"""Worlds and methods are named by what sets them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import fake_run, set_settings, some_runs

from routed_rl.experiments import results
from routed_rl.experiments.method_names import demand_names

HIDDEN = "naive, oversight hidden"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return some_runs(tmp_path)


def names(folder: Path) -> set[tuple[str, str]]:
    return {(result.world, result.method) for result in results.load(folder)[0]}


def test_worlds_and_methods_are_named_by_what_sets_them_apart(runs: Path) -> None:
    for name in ("naive-0", "naive-1", "naive-2", "other"):
        set_settings(runs / name, env={"blur": 0.0})
    fake_run(runs / "blurred", 0.3)
    set_settings(runs / "blurred", env={"blur": 1.0}, good=["ghost"])
    assert names(runs) == {
        ("gridworld", "naive"),
        ("gridworld", HIDDEN),
        ("gridworld, good ghost, blur 1.0", "naive"),
        ("lake", "naive"),
    }


def test_an_older_run_without_a_setting_is_named_like_one_with_its_usual_value(runs: Path) -> None:
    fake_run(runs / "new", 0.3, seed=7)
    set_settings(runs / "new", good=[])
    assert {world for world, _ in names(runs)} == {"gridworld", "lake"}


def test_an_older_run_had_the_default_of_a_setting_that_it_lacks(runs: Path) -> None:
    for name in ("naive-0", "other"):
        set_settings(runs / name, env={"evadable": True}, agent={"bootstrap": True})
    found, left_out = results.load(runs)
    assert len(found) == 6
    assert "naive-0" not in left_out
    assert {result.world for result in found} == {"gridworld", "gridworld, evadable", "lake"}
    assert {result.method for result in found} == {"naive", HIDDEN}


def test_settings_of_then_and_now_are_the_same_method(runs: Path) -> None:
    set_settings(runs / "naive-0", agent={"entropy": 0.05})
    set_settings(runs / "naive-1", agent={"ent_coef": 0.05})
    set_settings(runs / "naive-2", agent={"ent_coef": 0.5})
    methods = {result.seed: result.method for result in results.load(runs)[0] if result.seed}
    assert methods == {1: "naive", 2: "naive, ent coef 0.5"}
    assert ("gridworld", "naive") in names(runs)
    assert len(names(runs)) == 4


def test_what_is_usual_for_a_switch_does_not_depend_on_what_is_common(tmp_path: Path) -> None:
    fake_run(tmp_path / "with", 0.1, agent="routed", routes="label", gate=True)
    for seed in range(3):
        settings = {"routes": "none", "gate": False}
        fake_run(tmp_path / f"without-{seed}", 0.1, agent="routed", seed=seed, **settings)
    methods = {method for _, method in names(tmp_path)}
    assert methods == {"routed", "routed, routes none, gate off"}


def test_a_setting_of_all_methods_in_one_environment_goes_unsaid(tmp_path: Path) -> None:
    for env, ent_coef in (("gridworld", 0.1), ("looks", 0.1), ("point", 0.3)):
        for agent in ("naive", "oracle"):
            folder = tmp_path / f"{env}-{agent}"
            fake_run(folder, 0.5, env=env, agent=agent, ent_coef=ent_coef)
    assert {method for _, method in names(tmp_path)} == {"naive", "oracle"}
    fake_run(tmp_path / "again", 0.5, env="point", agent="naive", ent_coef=0.3, seed=1)
    fake_run(tmp_path / "other", 0.5, env="point", agent="naive", ent_coef=0.1)
    assert ("point", "naive, ent coef 0.1") in names(tmp_path)


def test_more_steps_at_more_oversight_are_no_method_of_their_own(tmp_path: Path) -> None:
    for oversight, steps in ((0.1, 100), (0.3, 200)):
        fake_run(tmp_path / f"{oversight}", 0.1, oversight=oversight, steps=steps)
    fake_run(tmp_path / "longer", 0.1, seed=1, steps=900)
    assert names(tmp_path) == {("gridworld", "naive"), ("gridworld", "naive, steps 900")}


def test_a_file_is_called_by_its_stem_and_by_its_folder_where_there_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, env in enumerate((f"{tmp_path}/rooms.py", "rooms.py", "/a/pit.py", "/b/pit.py")):
        fake_run(tmp_path / "runs" / str(number), 0.3, env=env, seed=number)
    worlds = {result.seed: result.world for result in results.load(tmp_path / "runs")[0]}
    assert worlds == {0: "rooms", 1: "rooms", 2: "a/pit", 3: "b/pit"}
    set_settings(tmp_path / "runs" / "0", env={"outcome_fn": None})
    set_settings(tmp_path / "runs" / "1", env={"outcome_fn": "ends.py:late"})
    worlds = {result.seed: result.world for result in results.load(tmp_path / "runs")[0]}
    assert worlds[1] == "rooms, outcome fn ends:late"


@pytest.mark.parametrize(
    "change",
    [
        *({"agent": False}, {"env": None}, {"agent": {"name": 3}}, {"agent": {}}),
        *({"env": {"name": "x"}}, {"env": {"name": "x", "oversight": [0.1]}}),
    ],
)
def test_what_names_a_run_is_of_its_kind(change: dict[str, Any]) -> None:
    settings = {"env": {"name": "x", "oversight": 0}, "agent": {"name": "y"}}
    demand_names(settings)
    with pytest.raises((KeyError, ValueError)):
        demand_names(settings | change)


@pytest.mark.parametrize("text", ["", "."])
def test_a_text_that_names_no_file_is_said_as_it_is(runs: Path, text: str) -> None:
    for name in ("naive-0", "naive-1", "naive-2", "other"):
        set_settings(runs / name, env={"fog": "thin"})
    fake_run(runs / "foggy", 0.3)
    set_settings(runs / "foggy", env={"fog": text})
    assert (f"gridworld, fog {text}", "naive") in names(runs)
