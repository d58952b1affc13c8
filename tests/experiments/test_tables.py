"""Tables to read and tables to compute with."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fake_runs import fake_run, some_runs

from routed_rl.experiments import results, tables
from routed_rl.experiments.summaries import Summary


def one(mean: float) -> Summary:
    return Summary(mean, mean, mean, mean, 1)


def test_the_best_of_a_column_or_of_a_row_is_bold() -> None:
    table = {"a": {0.1: one(1.0), 0.3: one(5.0)}, "b": {0.1: one(2.0)}}
    assert tables.markdown(table, ".0f").splitlines() == [
        "| method | 0.1 | 0.3 |",
        "|---|---|---|",
        "| a | 1 (1 to 1) | **5** (5 to 5) |",
        "| b | **2** (2 to 2) |  |",
    ]
    rows = tables.markdown(table, ".0f", corner="world", best_of="row").splitlines()
    assert rows[0] == "| world | 0.1 | 0.3 |"
    assert rows[2:] == ["| a | 1 (1 to 1) | **5** (5 to 5) |", "| b | **2** (2 to 2) |  |"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = some_runs(tmp_path / "runs")
    fake_run(runs / "hidden-2", 0.7, seed=2, hide_oversight=True)
    out = tmp_path / "out"
    out.mkdir()
    found = results.load(runs)[0]
    files = tables.write_tables(found, out, against="naive")
    assert files == [out / "tables.md", out / "tables.csv"]
    return out


def test_tables_are_written_to_be_read(folder: Path) -> None:
    text = (folder / "tables.md").read_text()
    parts = dict(part.split("\n", 1) for part in text.split("## ")[1:])
    lake = parts["World by world: return, last checkpoint, 0.1 oversight"]
    assert "| world | naive | naive, oversight hidden |" in lake
    assert "| lake | **0.500** (0.500 to 0.500) |  |" in lake
    gridworld = parts["gridworld: return, last checkpoint"]
    assert "| naive | 0.400 (" in gridworld
    assert "| naive, oversight hidden | **0.600** (" in gridworld
    paired = parts["gridworld: return minus that of naive, last checkpoint"]
    assert "over pairs of one seed" in paired
    assert "| naive, oversight hidden | **+0.100** (" in paired
    assert not any("cheats" in title for title in parts), "no run has a best by truth"


def test_tables_are_written_to_compute_with(folder: Path) -> None:
    with (folder / "tables.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tables.COLUMNS
    found = [
        float(row["mean"])
        for row in rows
        if (row["world"], row["checkpoint"], row["measure"]) == ("gridworld", "last", "return")
        and (row["method"], row["oversight"]) == ("naive", "0.1")
    ]
    assert found == [pytest.approx(0.4)]


def test_one_world_needs_no_name(tmp_path: Path) -> None:
    fake_run(tmp_path / "runs" / "one", 0.5)
    tables.write_tables(results.load(tmp_path / "runs")[0], tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert text.startswith("## return, last checkpoint\n")
    assert "World by world" not in text
