"""Every figure that the runs allow is written where it belongs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import fake_run, some_runs
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from routed_rl.experiments import figures, results
from routed_rl.experiments.canvas import start_figure
from routed_rl.experiments.plots import plot_learning
from routed_rl.experiments.styles import badge_of, choose_looks

OF_ONE_WORLD = {
    "return_against_oversight",
    "unwatched_against_oversight",
    "return_against_steps_at_0.1",
    "return_against_steps_at_0.3",
    "return_against_labels_at_0.1",
    "return_against_labels_at_0.3",
    "variants_of_naive",
}

AT_ONE_LEVEL = {
    "return_at_0.1",
    "unwatched_at_0.1",
    "return_against_steps_at_0.1",
    "return_against_labels_at_0.1",
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
    assert names(out / "lake") == with_kinds(AT_ONE_LEVEL)
    assert set(files) == {path for path in out.rglob("*") if path.is_file()}
    for path in out.rglob("*.png"):
        assert path.stat().st_size > 5000, path


def test_one_world_needs_no_folder(runs: Path, tmp_path: Path) -> None:
    shutil.rmtree(runs / "foreign")
    out = tmp_path / "out"
    figures.draw(results.load(runs)[0], out)
    assert names(out) == with_kinds(OF_ONE_WORLD) | {"tables.md", "tables.csv"}


def found(folder: Path, count: int = 3, **settings: Any) -> list[results.Result]:
    """Return runs of seeds whose values are 0.1, 0.2 and so on."""
    for seed in range(count):
        name = "-".join(map(str, (*settings.values(), seed)))
        fake_run(folder / name, 0.1 * (seed + 1), seed=seed, **settings)
    return results.load(folder)[0]


def axes_of(runs: list[results.Result], name: str) -> Axes:
    """Draw one of the figures that runs allow, and return its axes."""
    return next(s.draw() for s in figures.sketch(runs, Path()) if s.path.name == name).axes[0]


def test_no_legend_is_cut(tmp_path: Path) -> None:
    agents = ["routed", "oracle", *(f"an_agent_of_others_with_a_long_name_{i}" for i in range(28))]
    for oversight in (0.1, 0.3):
        for agent in agents:
            fake_run(tmp_path / f"{agent}-{oversight}", 0.5, agent=agent, oversight=oversight)
    for sketch in figures.sketch(results.load(tmp_path)[0], tmp_path):
        if sketch.path.name.endswith(("_oversight", "steps_at_0.1")):
            figure = sketch.draw()
            figure.draw_without_rendering()
            legend = figure.legends[0].get_window_extent()
            assert legend.width > 300 and legend.height > 300, "pixels"
            edges = figure.bbox
            assert edges.x0 <= legend.x0 and legend.x1 <= edges.x1, sketch.path
            assert edges.y0 <= legend.y0 and legend.y1 <= edges.y1, sketch.path
            assert figure.axes[0].get_window_extent().x1 <= legend.x0, "beside the axes"
            assert figure.axes[0].get_window_extent().width > 400, "which keep their room"


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    found(tmp_path, oversight=0.1)
    runs = found(tmp_path, 1, oversight=0.3)
    axes = axes_of(runs, "return_against_oversight")
    # A band goes through the levels that have one: there is none at 0.3.
    assert all(path.vertices[:, 0].max() < 0.3 for path in bands(axes))
    alone = [run for run in runs if run.seed == 0]
    for name in ("return_against_oversight", "return_against_steps_at_0.1"):
        axes = axes_of(alone, name)
        assert not bands(axes)
        assert axes.texts[0].get_text() == "one seed"


def bands(axes: Axes) -> list[Any]:
    """Return the outlines of what is filled."""
    return [path for patch in axes.collections for path in patch.get_paths()]


def test_a_band_spans_the_seeds(tmp_path: Path) -> None:
    axes = axes_of(found(tmp_path), "return_against_steps_at_0.1")
    [band] = bands(axes)
    assert band.vertices[:, 1].min() == pytest.approx(0.05)
    assert band.vertices[:, 1].max() == pytest.approx(0.3)
    assert axes.texts[0].get_text() == "mean and range, 3 seeds"


def test_one_level_of_oversight_is_a_strip(tmp_path: Path) -> None:
    found(tmp_path, 1, agent="oracle")
    axes = axes_of(found(tmp_path, agent="routed"), "return_at_0.1")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["routed", "oracle"]
    routed, oracle, *_ = axes.lines
    assert list(routed.get_ydata()) == pytest.approx([0.1, 0.2, 0.3])
    assert list(routed.get_xdata()) == pytest.approx([-0.12, 0, 0.12])
    assert routed.get_linestyle() == "None"
    assert (routed.get_color(), routed.get_marker()) == badge_of("routed")
    assert list(oracle.get_xdata()) == [1]
    [mean] = bands(axes)
    assert mean.vertices[:, 1] == pytest.approx([0.2, 0.2])


def test_variants_have_shades_of_their_agent(runs: Path) -> None:
    fake_run(runs / "hidden-3", 0.4, oversight=0.3, hide_oversight=True)
    found = [run for run in results.load(runs)[0] if run.world == "gridworld"]
    axes = axes_of(found, "variants_of_naive")
    light, full = [line.get_color() for line in axes.lines if line.get_marker() == "v"]
    assert full == badge_of("naive").colour
    assert to_rgb(light) > to_rgb(full)


def test_against_labels_curves_begin_behind_the_start(tmp_path: Path) -> None:
    fake_run(tmp_path / "runs" / "one", 0.8)
    path = tmp_path / "runs" / "one" / "metrics.csv"
    header, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, "0,0,0.05", *rest]) + "\n")
    runs, _ = results.load(tmp_path / "runs")
    drawn = {}
    for against in ("steps", "labels"):
        _, axes = start_figure("", "", "")
        plot_learning(axes, runs, against, choose_looks([run.method for run in runs]))
        (line,) = [line for line in axes.lines if line.get_label() == runs[0].method]
        drawn[against] = np.array(line.get_xdata()).tolist(), axes.get_xscale()
    assert drawn["steps"] == ([0, 100, 200], "linear")
    assert drawn["labels"] == ([10, 30], "log")
