"""Figures from a folder of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from routed_rl.experiments.plots import (
    plot_against_oversight,
    plot_learning,
    plot_rows,
    save_figure,
    start_figure,
)
from routed_rl.experiments.results import Result
from routed_rl.experiments.styles import COLOURS, STYLES, Looks, choose_looks, variants
from routed_rl.experiments.summaries import Summary, by_world, tabulate
from routed_rl.experiments.tables import write_tables

__all__ = ["COLOURS", "STYLES", "compare_worlds", "draw"]

_RETURN = "return of the policy to deploy"


def draw(results: Sequence[Result], folder: Path, against: str | None = None) -> list[Path]:
    """Write every figure and table that the runs allow.

    Args:
        results: of one world, or of several: then each has a folder of its own for its figures.
        folder: where to write.
        against: a method; there are tables of the differences from it too.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looks = choose_looks(results)
    written = write_tables(results, folder, against)
    worlds = sorted({result.world for result in results})
    if len(worlds) == 1:
        return written + _draw_world(results, looks, folder)
    for world in worlds:
        runs = [result for result in results if result.world == world]
        written += _draw_world(runs, looks, folder / re.sub(r"[^\w.]+", "-", world))
    for level in _levels(results):
        table = by_world(results, "return", "policies", level)
        written += compare_worlds(table, f"{level:g}", folder)
    return written


def compare_worlds(
    rows: Mapping[str, Mapping[str, Summary]], level: str, folder: Path
) -> list[Path]:
    """Draw the returns at one level of oversight, one world below the other.

    Args:
        rows: world -> method -> over seeds.
        level: of oversight, as it is to be written.
        folder: where to write.

    Returns:
        The files.
    """
    series = list(dict.fromkeys(method for row in rows.values() for method in row))
    height = 1.8 + max(0.5, 0.1 * len(series)) * len(rows)  # inches
    figure, axes = start_figure(f"World by world at {level} oversight", _RETURN, height=height)
    plot_rows(axes, rows, series)
    return save_figure(figure, folder / f"worlds_at_{level}", below=True)


def _draw_world(results: Sequence[Result], looks: Looks, folder: Path) -> list[Path]:
    """Draw the figures of one world."""
    folder.mkdir(exist_ok=True)
    written = _draw_measures(results, looks, folder)
    for level in _levels(results):
        runs = [result for result in results if result.oversight == level]
        written += _draw_learning(runs, f"{level:g}", looks, folder)
    for agent, methods in variants(results).items():
        if len(methods) > 1:
            runs = [result for result in results if result.method in methods]
            written += _draw_variants(runs, agent, folder)
    return written


def _draw_measures(results: Sequence[Result], looks: Looks, folder: Path) -> list[Path]:
    """Draw each measure against oversight."""
    titles = {
        "return": ("Return", _RETURN),
        "unwatched": ("Return where nothing is overseen", _RETURN),
        "bad_per_episode": ("Bad outcomes", "bad outcomes per episode of the policy to deploy"),
    }
    written: list[Path] = []
    for measure, (title, y) in titles.items():
        if not tabulate(results, measure, "policies"):
            continue  # runs of before version 0.3 did not count bad outcomes
        figure, axes = start_figure(title, "oversight: probability of being overseen", y)
        plot_against_oversight(axes, results, measure, looks)
        written += save_figure(figure, folder / f"{measure}_against_oversight")
    return written


def _draw_learning(results: Sequence[Result], level: str, looks: Looks, folder: Path) -> list[Path]:
    """Draw learning curves at one level of oversight, against steps and against labels."""
    title = f"Learning at {level} oversight"
    by_steps, axes = start_figure(title, "environment steps", _RETURN)
    plot_learning(axes, results, "steps", looks)
    by_labels, axes = start_figure(title, "labels", _RETURN)
    plot_learning(axes, results, "labels", looks)
    return [
        *save_figure(by_steps, folder / f"return_against_steps_at_{level}"),
        *save_figure(by_labels, folder / f"return_against_labels_at_{level}"),
    ]


def _draw_variants(results: Sequence[Result], agent: str, folder: Path) -> list[Path]:
    """Draw an agent's methods one below the other, at each level where there are several."""
    table = tabulate(results, "return", "policies")
    levels = [
        level for level in _levels(results) if sum(level in row for row in table.values()) > 1
    ]
    rows = {
        method: {_at(level): summary for level, summary in row.items()}
        for method, row in table.items()
    }
    height = 1.4 + 0.6 * len(rows)  # inches
    figure, axes = start_figure(f"Variants of {agent}", _RETURN, height=height)
    plot_rows(axes, rows, [_at(level) for level in levels])
    return save_figure(figure, folder / f"variants_of_{agent}")


def _levels(results: Sequence[Result]) -> list[float]:
    """List the levels of oversight."""
    return sorted({result.oversight for result in results})


def _at(level: float) -> str:
    return f"{level:g} oversight"
