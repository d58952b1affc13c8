"""Every figure that the runs allow is written where it belongs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run, some_runs

from routed_rl.experiments import figures, results
from routed_rl.experiments.plots import plot_learning, start_figure
from routed_rl.experiments.styles import COLOURS, STYLES, choose_looks

OF_ONE_WORLD = {
    "return_against_oversight",
    "unwatched_against_oversight",
    "return_against_steps_at_0.1",
    "return_against_steps_at_0.3",
    "return_against_labels_at_0.1",
    "return_against_labels_at_0.3",
    "variants_of_naive",
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return some_runs(tmp_path / "runs")


def with_kinds(names: set[str]) -> set[str]:
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_world_has_a_folder_and_all_are_compared(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = figures.draw(results.load(runs)[0], out)
    tables = {"tables.md", "tables.csv"}
    compared = with_kinds({"worlds_at_0.1", "worlds_at_0.3"})
    assert names(out) == {"gridworld", "lake"} | tables | compared
    assert names(out / "gridworld") == with_kinds(OF_ONE_WORLD)
    without = {name for name in OF_ONE_WORLD if "0.3" not in name and "variants" not in name}
    assert names(out / "lake") == with_kinds(without)
    assert set(files) == {path for path in out.rglob("*") if path.is_file()}
    for path in out.rglob("*.png"):
        assert path.stat().st_size > 5000, path


def test_one_world_needs_no_folder(runs: Path, tmp_path: Path) -> None:
    shutil.rmtree(runs / "foreign")
    out = tmp_path / "out"
    figures.draw(results.load(runs)[0], out)
    assert names(out) == with_kinds(OF_ONE_WORLD) | {"tables.md", "tables.csv"}


def test_against_labels_curves_begin_behind_the_start(tmp_path: Path) -> None:
    fake_run(tmp_path / "runs" / "one", 0.8)
    path = tmp_path / "runs" / "one" / "metrics.csv"
    header, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, "0,0,0.05", *rest]) + "\n")
    runs, _ = results.load(tmp_path / "runs")
    drawn = {}
    for against in ("steps", "labels"):
        _, axes = start_figure("", "", "")
        plot_learning(axes, runs, against, choose_looks(runs))
        (line,) = [line for line in axes.lines if line.get_label() == runs[0].method]
        drawn[against] = np.array(line.get_xdata()).tolist(), axes.get_xscale()
    assert drawn["steps"] == ([0, 100, 200], "linear")
    assert drawn["labels"] == ([10, 30], "log")


def test_an_agent_has_a_colour_and_its_variants_line_styles(runs: Path) -> None:
    looks = choose_looks(results.load(runs)[0])
    assert looks["naive"] == (COLOURS[0], STYLES[0])
    assert looks["naive, oversight hidden"] == (COLOURS[0], STYLES[1])
