"""The comparison of methods world by world, by hand-made returns and against the published ones."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from benchmarks import worlds

ROOT = Path(__file__).parents[1]
RETURNS = {
    "routed_env-gridworld_bad-oversight-0.1_oversight-0.01_seed-0": 0.25,
    "routed_env-gridworld_bad-oversight-0.1_oversight-0.01_seed-1": 0.75,
    "reward_model_env-gridworld_bad-oversight-0.1_oversight-0.01_model-by-cell_bad-reward--1.0_seed-0": 0.5,
    "reward_model_env-gridworld_bad-oversight-0.1_oversight-0.01_model-by-cell_bad-reward--1.0_seed-1": 0.5,
    "absorbing_env-looks_oversight-0.1_seed-0": -0.5,
    "absorbing_env-looks_oversight-0.1_routes-inferred_seed-0": -0.25,
    "seen_only_env-gridworld_oversight-0.1_hide-oversight_seed-10": 0.125,
}


def written(folder: Path, rows: dict[str, float]) -> Path:
    path = folder / "returns.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("run", "exact", "return", "standard_error", "unwatched"))
        writer.writerows((run, True, value, 0.0, value - 0.0625) for run, value in rows.items())
    return path


def test_names_of_runs_are_read_and_differences_are_paired_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, RETURNS)
    monkeypatch.setattr(sys, "argv", ["worlds.py", str(path), "--pictures", str(tmp_path / "new" / "pictures")])
    worlds.main()
    shown = capsys.readouterr().out
    assert "| bad ends overseen less | 1% | **0.50** (0.25 to 0.75) |  |  | **0.50** (0.50 to 0.50) |" in shown
    assert "| bad ends overseen less | 1% | +0.000 (-0.250 to +0.250) |" in shown
    assert "| looks | 10% |  | -0.50 (-0.50 to -0.50) | **-0.25** (-0.25 to -0.25) |" in shown
    assert "| the paper's | 10% |  |  |  |  |  | **0.12** (0.12 to 0.12) |  |" in shown
    assert (
        "one expert minus routed: above 0 in 0 of 1 means and 1 of 2 pairs; interval above 0 in 0, below 0 in 0; "
        "mean over all worlds +0.250 (seed 0), -0.250 (seed 1)" in shown
    )
    assert "unwatched minus watched: largest -0.062," in shown
    assert {path.name for path in tmp_path.glob("new/pictures/*.png")} == {"worlds_at_0.01.png", "worlds_at_0.1.png"}


def test_a_run_of_another_sweep_is_named(tmp_path: Path) -> None:
    for name in ("routed_seed-1", "routed_env-gridworld_rows-7_oversight-0.1_seed-0"):
        with pytest.raises(SystemExit, match=f"{name}.*map.toml"):
            worlds.read(written(tmp_path, {name: 0.0}))


def test_a_file_without_runs_and_one_that_is_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="has no run"):
        worlds.read(written(tmp_path, {}))
    monkeypatch.setattr(sys, "argv", ["worlds.py", str(tmp_path / "absent.csv")])
    with pytest.raises(SystemExit, match=r"no file.*absent"):
        worlds.main()


def test_the_published_tables_are_what_the_published_returns_say() -> None:
    returns = worlds.read(ROOT / "docs" / "map_returns.csv")
    research = (ROOT / "docs" / "research.md").read_text()
    assert {len(seeds) for row in returns.values() for seeds in row.values()} == {5}
    assert worlds.table(returns, "z.2f", bold=True) in research
    assert worlds.table(worlds.differences(returns), "+z.3f", bold=False) in research
