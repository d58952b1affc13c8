"""Figures from a folder of runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from routed_rl.experiments import plots
from routed_rl.experiments.canvas import NAME_WIDTH, SIZE, add_legend, save_figure, start_figure
from routed_rl.experiments.results import Result
from routed_rl.experiments.styles import Look, Looks, choose_looks, look_of, shades, variants
from routed_rl.experiments.summaries import (
    INTERVAL,
    LOWER_IS_BETTER,
    Summary,
    by_world,
    each_seed,
    over_seeds,
    tabulate,
)
from routed_rl.experiments.tables import write_tables

RETURN = "return of the policy to deploy"
MEASURES = {
    "return": ("Return", RETURN),
    "unwatched": ("Return where nothing is overseen", RETURN),
    "bad_per_episode": ("Bad outcomes of the policy to deploy", "bad outcomes per episode"),
}
"""That have figures -> the title, and what stands beside the axes."""


class Sketch(NamedTuple):
    """A figure that is not drawn yet."""

    path: Path
    """Without a suffix."""
    draw: Callable[[], Figure]


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
    written = write_tables(results, folder, against)
    # A bar shows after two seconds, on a terminal, and goes when all is done.
    bar = tqdm(
        sketch(results, folder), "drawing", unit=" figures", delay=2, leave=False, disable=None
    )
    for figure in bar:
        figure.path.parent.mkdir(exist_ok=True)
        written += save_figure(figure.draw(), figure.path)
    return written


def sketch(results: Sequence[Result], folder: Path) -> list[Sketch]:
    """List every figure that the runs allow, and where it belongs in a folder."""
    looks = choose_looks(result.method for result in results)
    worlds = sorted({result.world for result in results})
    if len(worlds) == 1:
        return list(_of_world(results, looks, folder))
    found: list[Sketch] = []
    for world in worlds:
        runs = [result for result in results if result.world == world]
        found += _of_world(runs, looks, folder / re.sub(r"[^\w.]+", "-", world))
    for level in _levels(results):
        rows = by_world(results, "return", "policies", level)
        path = folder / f"worlds_at_{level:g}"
        found.append(Sketch(path, partial(_worlds, rows, f"{level:g}")))
    return found


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
    return save_figure(_worlds(rows, level), folder / f"worlds_at_{level}")


def _of_world(results: Sequence[Result], looks: Looks, folder: Path) -> Iterator[Sketch]:
    """List the figures of one world."""
    levels = _levels(results)
    for measure in MEASURES:
        if not tabulate(results, measure, "policies"):
            continue  # runs of before version 0.3 did not count bad outcomes
        if len(levels) > 1:
            path = folder / f"{measure}_against_oversight"
            yield Sketch(path, partial(_against_oversight, results, measure, looks))
        else:
            path = folder / f"{measure}_at_{levels[0]:g}"
            yield Sketch(path, partial(_strip, results, measure, looks))
    for level in levels:
        runs = [result for result in results if result.oversight == level]
        for against in ("steps", "labels"):
            path = folder / f"return_against_{against}_at_{level:g}"
            yield Sketch(path, partial(_learning, runs, against, looks))
    for agent, methods in variants(result.method for result in results).items():
        runs = [result for result in results if result.method in methods]
        if len(methods) > 1 and _shared_levels(runs):
            yield Sketch(folder / f"variants_of_{agent}", partial(_variants, runs, agent))


def _against_oversight(results: Sequence[Result], measure: str, looks: Looks) -> Figure:
    """Draw a measure against oversight."""
    title, y = MEASURES[measure]
    table = tabulate(results, measure, "policies")
    note = over_seeds(INTERVAL, (cell.n for row in table.values() for cell in row.values()))
    x = "oversight: probability of being overseen"
    figure, axes = start_figure(title, x, y, note=note)
    plots.plot_against_oversight(axes, table, looks)
    if measure not in LOWER_IS_BETTER:  # references are returns
        plots.plot_references(axes, _references(results))
    add_legend(figure)
    return figure


def _strip(results: Sequence[Result], measure: str, looks: Looks) -> Figure:
    """Draw a measure at one level of oversight, a column for each method, the best first."""
    title, y = MEASURES[measure]
    found = each_seed(results, measure, "policies")
    best_first = sorted(found, key=lambda method: np.mean(found[method]))
    if measure not in LOWER_IS_BETTER:
        best_first.reverse()
    several = max(map(len, found.values())) > 1
    note = "a point for each seed, a bar at their mean" if several else "one seed"
    # Columns are wide enough for names of two lines, and the figure is as much higher as names are.
    longest = min(max(map(len, found)), NAME_WIDTH)
    size = (max(SIZE[0], 1.2 + 0.6 * len(found)), SIZE[1] + 0.05 * longest)
    title = f"{title} at {results[0].oversight:g} oversight"
    figure, axes = start_figure(title, "", y, note=note, size=size)
    plots.plot_strip(axes, {method: found[method] for method in best_first}, looks)
    if measure not in LOWER_IS_BETTER:
        plots.plot_references(axes, _references(results))
    add_legend(figure)
    return figure


def _learning(
    results: Sequence[Result], against: Literal["steps", "labels"], looks: Looks
) -> Figure:
    """Draw learning curves at one level of oversight, against steps or labels."""
    title = f"Learning at {results[0].oversight:g} oversight"
    methods = [result.method for result in results]
    note = over_seeds("mean and range", map(methods.count, methods))
    x = "environment steps" if against == "steps" else "labels"
    figure, axes = start_figure(title, x, RETURN, note=note)
    plots.plot_learning(axes, results, against, looks)
    plots.plot_references(axes, _references(results))
    add_legend(figure)
    return figure


def _variants(results: Sequence[Result], agent: str) -> Figure:
    """Draw an agent's methods one below the other, at each level where there are several."""
    levels = _shared_levels(results)
    rows = {
        method: {_at(level): row[level] for level in levels if level in row}
        for method, row in tabulate(results, "return", "policies").items()
    }
    looks = shades(look_of(agent), len(levels))
    return _rows(f"Variants of {agent}", rows, dict(zip(map(_at, levels), looks, strict=True)))


def _worlds(rows: Mapping[str, Mapping[str, Summary]], level: str) -> Figure:
    """Draw worlds one below the other, at one level of oversight."""
    methods = dict.fromkeys(method for row in rows.values() for method in row)
    looks = choose_looks(methods)
    series = {method: looks[method] for method in methods}
    return _rows(f"World by world at {level} oversight", rows, series)


def _rows(
    title: str, rows: Mapping[str, Mapping[str, Summary]], series: Mapping[str, Look]
) -> Figure:
    """Draw rows one below the other."""
    height = 1.2 + max(0.5, 0.14 * len(series)) * len(rows)  # inches
    note = over_seeds(INTERVAL, (cell.n for row in rows.values() for cell in row.values()))
    figure, axes = start_figure(title, RETURN, note=note, size=(SIZE[0], height))
    plots.plot_rows(axes, rows, series)
    add_legend(figure)
    return figure


def _references(results: Sequence[Result]) -> Mapping[str, float]:
    """Return what scripted policies reach, where all runs agree on it."""
    references = results[0].references
    return references if all(run.references == references for run in results) else {}


def _levels(results: Iterable[Result]) -> list[float]:
    """List the levels of oversight."""
    return sorted({result.oversight for result in results})


def _shared_levels(results: Sequence[Result]) -> list[float]:
    """List the levels of oversight at which there is more than one method."""
    methods = {(result.oversight, result.method) for result in results}
    at = [level for level, _ in methods]
    return sorted({level for level in at if at.count(level) > 1})


def _at(level: float) -> str:
    return f"{level:g} oversight"
