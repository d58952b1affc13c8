"""Tables to read and tables to compute with."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fake_runs import fake_run, some_runs

from routed_rl.experiments import results, tables
from routed_rl.experiments.summaries import Summary


def two(mean: float) -> Summary:
    return Summary(mean, mean, mean, mean, 2)


def test_the_best_of_a_column_or_of_a_row_is_bold() -> None:
    table = {"a": {0.1: two(1.0), 0.3: two(5.0)}, "b": {0.1: two(2.0)}}
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
    assert "Mean and 95% bootstrap interval, 1 to 3 seeds; none for one seed;" in text
    lake = parts["World by world: return, last checkpoint, 0.1 oversight"]
    assert "| world | naive | naive, oversight hidden |" in lake
    assert "| lake | **0.500** |  |" in lake
    gridworld = parts["gridworld: return, last checkpoint"]
    assert "| naive | 0.400 (" in gridworld
    assert "| naive, oversight hidden | **0.600** (" in gridworld
    paired = parts["gridworld: return minus that of naive, paired by seed, last checkpoint"]
    assert "Mean and 95% bootstrap interval, 2 pairs; the best mean is bold." in paired
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
    assert "One seed; the best mean is bold." in text


def test_returns_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some_runs(tmp_path)
    tables.print_tables(results.load(tmp_path)[0], against="naive")
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    levels, difference, lake = cells[:2], cells[2], cells[3]
    assert [row[0] for row in levels] == ["naive", "naive, oversight hidden"]
    assert levels[0][1].startswith("0.400 (")
    assert levels[0][2] == "0.400", "one seed has no interval"
    assert levels[1][1:] == ["0.500", ""]
    assert difference[:2] == ["naive, oversight hidden", "+0.400"]
    assert lake == ["naive", "0.500", "0.400"]
    assert [line.strip() for line in lines if line[0] not in "┏┃┡│└"] == [
        "return by oversight in gridworld",
        "Mean and 95% bootstrap interval, 1 to 3 seeds; none for one seed.",
        "gridworld at 0.1 oversight minus naive",
        "One pair.",
        "lake at 0.1 oversight",
        "One seed.",
    ]
