"""What came out of a folder of runs, and why some are left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_run, set_settings, some_runs

from routed_rl.experiments import results


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return some_runs(tmp_path)


def test_what_is_left_out_is_said_and_why(runs: Path) -> None:
    found, left_out = results.load(runs)
    assert len(found) == 6
    assert set(left_out) == {"notes", "running", "broken"}
    assert left_out["notes"] == "it is no run: it has no config.yaml"
    assert left_out["running"] == "it is not finished: it has no result.json"
    assert left_out["broken"].startswith("it cannot be read: ")
    assert "\n" not in left_out["broken"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.yaml", "env: {name: gridworld}\nagent: {name: naive}\n"),
        ("config.yaml", "env: [\n"),
        ("metrics.csv", "env_steps,eval/policy/return\n100,0.5\n"),
        ("result.json", '{"policies": {}}'),
    ],
)
def test_one_broken_file_stops_no_other_run(runs: Path, file: str, text: str) -> None:
    (runs / "naive-0" / file).write_text(text)
    found, left_out = results.load(runs)
    assert len(found) == 5
    assert left_out["naive-0"].startswith("it cannot be read: ")


def test_a_result_by_hand(runs: Path) -> None:
    result = next(result for result in results.load(runs)[0] if result.seed == 2)
    assert (result.world, result.method, result.oversight) == ("gridworld", "naive", 0.1)
    assert (result.steps, result.labels) == (200, 30)
    assert result.references == {"best possible": 0.9317}
    assert list(result.reports) == ["policies", "best_by_labels"]
    assert result.reports["policies"].true_return == 0.9
    assert result.reports["best_by_labels"].true_return == 1.0
    assert result.curve.tolist() == [[100, 10, 0.45], [200, 30, 0.9]]


def test_the_same_run_twice_counts_once(runs: Path) -> None:
    fake_run(runs / "naive-0-again", 0.1)
    found, left_out = results.load(runs)
    assert len(found) == 6
    words = "it has the settings and the seed of naive-0, and would count twice"
    assert left_out["naive-0-again"] == words


def test_a_run_that_goes_on_is_not_finished(runs: Path) -> None:
    set_settings(runs / "naive-0", steps=400)  # its result is of 200
    found, left_out = results.load(runs)
    assert len(found) == 5
    assert left_out["naive-0"] == "it is not finished: its result.json is of fewer steps"
