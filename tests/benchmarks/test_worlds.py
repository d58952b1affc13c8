"""The comparison of methods world by world: hand-made returns, and the published ones."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from benchmarks import worlds

SHY = "env-gridworld_bad-oversight-0.1_oversight-0.01"
ONE_EXPERT = f"reward_model_{SHY}_model-by-cell_bad-reward--1.0"
RETURNS = {
    f"routed_{SHY}_seed-0": 0.25,
    f"routed_{SHY}_seed-1": 0.75,
    f"{ONE_EXPERT}_seed-0": 0.5,
    f"{ONE_EXPERT}_seed-1": 0.5,
    "absorbing_env-looks_oversight-0.1_seed-0": -0.5,
    "absorbing_env-looks_oversight-0.1_routes-inferred_seed-0": -0.25,
    "seen_only_env-gridworld_oversight-0.1_hide-oversight_seed-10": 0.125,
}
SHOWN = (
    "| bad ends overseen less | 1% | **0.50** (0.25 to 0.75) |  |  | **0.50** (0.50 to 0.50) |",
    "| bad ends overseen less | 1% | +0.000 (-0.250 to +0.250) |",
    "| looks | 10% |  | -0.50 | **-0.25** |",
    "| the paper's | 10% |  |  |  |  |  | **0.12** |  |",
    "one expert minus routed: above 0 in 0 of 1 means and 1 of 2 pairs; "
    "interval above 0 in 0, below 0 in 0; "
    "mean over all worlds +0.250 (seed 0), -0.250 (seed 1)",
    "unwatched minus watched: largest -0.062,",
)


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
    pictures = tmp_path / "new" / "pictures"
    path = written(tmp_path, RETURNS)
    monkeypatch.setattr(sys, "argv", ["worlds.py", str(path), "--pictures", str(pictures)])
    worlds.main()
    out = capsys.readouterr().out
    for words in SHOWN:
        assert words in out
    names = {path.name for path in pictures.glob("*.png")}
    assert names == {"worlds_at_0.01.png", "worlds_at_0.1.png"}


@pytest.mark.parametrize(
    "name", ["routed_seed-1", "routed_env-gridworld_rows-7_oversight-0.1_seed-0"]
)
def test_a_run_of_another_sweep_is_named(tmp_path: Path, name: str) -> None:
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
    page = (ROOT / "docs" / "earlier.md").read_text()
    assert {len(seeds) for row in returns.values() for seeds in row.values()} == {5}
    assert worlds.table(returns, "z.2f", bold=True) in page
    assert worlds.table(worlds.differences(returns), "+z.3f", bold=False) in page
