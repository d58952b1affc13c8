from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from routed_rl import cli, results, tables


def fake_run(folder: Path, agent: str, oversight: float, seed: int, value: float, **switches: object) -> None:
    folder.mkdir(parents=True)
    settings = {"env": {"name": "gridworld", "oversight": oversight}, "agent": {"name": agent, **switches}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    report = {"policy": {"return": value, "unwatched": value - 0.1}}
    result = {
        "env_steps": 200,
        "seed": seed,
        "deployed": "policy",
        "labelled_episodes": 30,
        "policies": report,
        "best_by_labels": {"env_steps": 100, "policies": {"policy": {"return": value + 0.1, "unwatched": 0.0}}},
    }
    (folder / "result.json").write_text(json.dumps(result))
    rows = f"env_steps,routing/labelled_episodes,eval/policy/return\n100,10,{value / 2}\n150,20,\n200,30,{value}\n"
    (folder / "metrics.csv").write_text(rows)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, value in enumerate((0.1, 0.2, 0.9)):
        fake_run(tmp_path / f"naive-{seed}", "naive", 0.1, seed, value)
    fake_run(tmp_path / "hidden", "naive", 0.1, 0, 0.5, hide_oversight=True, penalty=2.0)
    fake_run(tmp_path / "other", "naive", 0.3, 0, 0.4)
    (tmp_path / "notes").mkdir()
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "config.yaml").write_text("env: {name: gridworld}")
    fake_run(tmp_path / "broken", "naive", 0.1, 0, 0.5)
    (tmp_path / "broken" / "result.json").write_text("{")
    fake_run(tmp_path / "foreign", "naive", 0.1, 0, 0.5)
    (tmp_path / "foreign" / "config.yaml").write_text("env: {name: lake, oversight: 0.1}\nagent: {name: naive}")
    return tmp_path


def test_what_is_left_out_is_said_and_why(runs: Path) -> None:
    found, left_out = results.load(runs)
    assert len(found) == 6
    assert set(left_out) == {"notes", "running", "broken"}
    assert "not finished" in left_out["running"]


def test_worlds_and_methods_are_named_by_what_sets_them_apart(runs: Path) -> None:
    settings = {"env": {"name": "gridworld", "oversight": 0.1, "blur": 1.0}, "agent": {"name": "naive"}}
    fake_run(runs / "blurred", "naive", 0.1, 0, 0.3)
    (runs / "blurred" / "config.yaml").write_text(yaml.safe_dump(settings | {"good": ["ghost"]}))
    for name in ("naive-0", "naive-1", "naive-2", "other"):
        text = (runs / name / "config.yaml").read_text()
        (runs / name / "config.yaml").write_text(text.replace("env:", "env:\n  blur: 0.0"))
    found, _ = results.load(runs)
    assert {(r.world, r.method) for r in found} == {
        ("gridworld", "naive"),
        ("gridworld", "naive, plane hidden"),
        ("gridworld, good ghost, blur 1.0", "naive"),
        ("lake", "naive"),
    }


def test_means_intervals_and_curves_by_hand(runs: Path) -> None:
    found = [result for result in results.load(runs)[0] if result.world == "gridworld"]
    table = tables.tabulate(found, "return", "policies")
    assert list(table) == ["naive", "naive, plane hidden"]
    naive = table["naive"][0.1]
    assert naive.mean == pytest.approx(0.4)
    assert naive.iqm == pytest.approx(0.4), "a quarter of three is none"
    assert naive.n == 3
    assert 0.1 <= naive.low < 0.4 < naive.high <= 0.9
    assert table["naive"][0.3] == (0.4, 0.4, 0.4, 0.4, 1)
    assert tables.tabulate(found, "return", "best_by_labels")["naive"][0.1].mean == pytest.approx(0.5)
    first = next(result for result in found if result.seed == 2)
    assert first.curve.tolist() == [[100, 10, 0.45], [200, 30, 0.9]]
    assert "| naive | 0.400 (" in tables.markdown(table)
    assert "| naive, plane hidden | **0.500** (" in tables.markdown(table)


def test_worlds_stand_beside_each_other_and_each_has_its_best(runs: Path) -> None:
    found, _ = results.load(runs)
    table = tables.by_world(found, "return", "policies", 0.1)
    assert {world: list(row) for world, row in table.items()} == {
        "gridworld": ["naive", "naive, plane hidden"],
        "lake": ["naive"],
    }
    text = tables.markdown(table, corner="world", best_of="row")
    assert text.splitlines()[0] == "| world | naive | naive, plane hidden |"
    assert "| gridworld | 0.400 (" in text
    assert "| lake | **0.500** (0.500 to 0.500) |  |" in text


def test_an_old_run_without_a_setting_is_named_like_a_new_one_with_its_usual_value(runs: Path) -> None:
    fake_run(runs / "new", "naive", 0.1, 7, 0.3)
    with (runs / "new" / "config.yaml").open("a") as file:
        file.write("good: []\n")
    assert {result.world for result in results.load(runs)[0]} == {"gridworld", "lake"}


def test_an_older_run_had_the_default_of_a_setting_that_it_lacks(runs: Path) -> None:
    for name in ("naive-0", "other"):
        text = (runs / name / "config.yaml").read_text()
        text = text.replace("env:", "env:\n  evadable: true").replace("agent:", "agent:\n  bootstrap: true")
        (runs / name / "config.yaml").write_text(text)
    found, left_out = results.load(runs)
    assert len(found) == 6
    assert "naive-0" not in left_out
    assert {r.world for r in found} == {"gridworld", "gridworld, evadable", "lake"}
    assert {r.method for r in found} == {"naive", "naive, plane hidden"}


def test_differences_are_paired_by_seed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs / "hidden-2", "naive", 0.1, 2, 0.7, hide_oversight=True)
    found = [result for result in results.load(runs)[0] if result.world == "gridworld"]
    (row,) = tables.differences(found, "return", "policies", "naive").values()
    assert list(row) == [0.1]
    assert row[0.1].mean == pytest.approx((0.5 - 0.1 + 0.7 - 0.9) / 2)
    assert row[0.1].n == 2, "seed 1 has no partner"
    assert cli.main("plot.py", [str(runs), "--against", "naive"]) == 0
    assert "| naive, plane hidden | **+0.100** (" in (runs / "figures" / "tables.md").read_text()
    assert cli.main("plot.py", [str(runs), "--against", "naiv"]) == 2
    assert "Did you mean 'naive'?" in capsys.readouterr().err


def test_a_summary_has_an_interval_around_the_mean_and_one_seed_has_none() -> None:
    found = tables.summarise([1.0, 2.0, 3.0, 4.0])
    assert found.low < found.mean == 2.5 < found.high
    assert tables.summarise([2.0]) == (2.0, 2.0, 2.0, 2.0, 1)
    assert found._replace(low=1, high=4).text(".1f") == "2.5 (1.0 to 4.0)"


def test_the_same_run_twice_counts_once(runs: Path) -> None:
    fake_run(runs / "naive-0-again", "naive", 0.1, 0, 0.1)
    found, left_out = results.load(runs)
    assert len(found) == 6
    assert left_out["naive-0-again"] == "it has the settings and the seed of naive-0, and would count twice"


def test_figures_and_tables_are_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("plot.py", [str(runs)]) == 0
    out = capsys.readouterr().out
    assert "left out: running" in out
    figures = runs / "figures"
    of_all = {"tables.md", "tables.csv", *(f"worlds_at_{p}{kind}" for p in (0.1, 0.3) for kind in (".png", ".svg"))}
    assert {path.name for path in figures.iterdir()} == {"gridworld", "lake"} | of_all
    names = {path.name for path in (figures / "gridworld").iterdir()}
    assert {"return_against_oversight.png", "unwatched_against_oversight.svg"} <= names
    assert "return_against_labels_at_0.1.png" in names
    assert "variants_of_naive.png" in names
    shutil.rmtree(runs / "foreign")
    shutil.rmtree(figures)
    assert cli.main("plot.py", [str(runs)]) == 0
    assert (figures / "return_against_oversight.png").exists(), "one world needs no folders"
    capsys.readouterr()
    assert cli.main("plot.py", [str(runs / "notes")]) == 2
    assert "no finished run" in capsys.readouterr().err
