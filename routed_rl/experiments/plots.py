"""What a figure shows on its axes: lines against oversight, strips of seeds, curves, rows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from routed_rl.experiments.canvas import GREY, INK, NAME_WIDTH
from routed_rl.experiments.results import Result
from routed_rl.experiments.styles import Look, Looks
from routed_rl.experiments.summaries import Summary

Array = NDArray[np.float64]

# Columns of a curve.
_STEPS = 0
_LABELS = 1
_RETURN = 2

_MOST_MARKERS = 10
"""On a learning curve."""
_MOST_LETTERS = 48
"""Below a strip, if all names have the room of the longest; more are written aslant."""


def plot_against_oversight(
    axes: Axes, table: Mapping[str, Mapping[float, Summary]], looks: Looks
) -> None:
    """Draw a line for each method, with its interval: method -> oversight -> over seeds."""
    for method, row in table.items():
        mean, low, high = _intervals(list(row.values()))
        look = looks[method]
        axes.plot(list(row), mean, **look.line, label=method)
        axes.fill_between(list(row), low, high, color=look.colour, alpha=0.15, linewidth=0)
    levels = sorted({level for row in table.values() for level in row})
    # Small levels are where methods differ. A logarithm of 0 cannot be drawn: it gets a place.
    smallest = min((level for level in levels if level > 0), default=1.0)
    axes.set_xscale("symlog", linthresh=smallest) if levels[0] == 0 else axes.set_xscale("log")
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.minorticks_off()


def plot_strip(axes: Axes, values: Mapping[str, Sequence[float]], looks: Looks) -> None:
    """Draw a column for each method, with a point for each seed and a bar at their mean."""
    for column, (method, points) in enumerate(values.items()):
        # Side by side, so that equal ones are seen.
        places = column + 0.12 * (np.arange(len(points)) - (len(points) - 1) / 2)
        axes.plot(places, points, linestyle="none", alpha=0.8, **looks[method].points)
        if len(points) > 1:
            half = 0.3  # of the width of a column
            mean = float(np.mean(points))
            axes.hlines(mean, column - half, column + half, color=INK, linewidth=2)
    names = [textwrap.fill(name, NAME_WIDTH) for name in values]
    axes.set_xticks(range(len(names)), names)
    if max(map(len, names)) * len(names) > _MOST_LETTERS:
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")


def plot_learning(
    axes: Axes, results: Sequence[Result], against: Literal["steps", "labels"], looks: Looks
) -> None:
    """Draw learning curves, the mean over seeds and their range, against steps or labels."""
    column = _STEPS if against == "steps" else _LABELS
    for method in sorted({result.method for result in results}):
        runs = [result for result in results if result.method == method]
        curves = [_behind_the_start(run.curve) if column == _LABELS else run.curve for run in runs]
        curves = [curve for curve in curves if len(curve)]
        if not curves:
            continue
        # Runs that were evaluated more often than others are drawn as far as all go.
        length = min(len(curve) for curve in curves)
        stacked = np.stack([curve[:length] for curve in curves])  # (seeds, length, 3)
        x = stacked[:, :, column].mean(axis=0)
        y = stacked[:, :, _RETURN]
        plot_curve(axes, x, y.mean(axis=0), looks[method], method)
        if len(curves) > 1:
            low = y.min(axis=0)
            high = y.max(axis=0)
            axes.fill_between(x, low, high, color=looks[method].colour, alpha=0.12, linewidth=0)
    if against == "labels" and all(_has_labels_at_once(result) for result in results):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def plot_curve(axes: Axes, x: Array, y: Array, look: Look, label: str) -> None:
    """Draw a learning curve, with a few markers that say whose it is."""
    every = max(1, -(-len(x) // _MOST_MARKERS))
    # From the last point on, which is always marked.
    axes.plot(x, y, **look.line, markevery=slice((len(x) - 1) % every, None, every), label=label)


def plot_rows(
    axes: Axes, rows: Mapping[str, Mapping[str, Summary]], series: Mapping[str, Look]
) -> None:
    """Draw rows one below the other, each with a dot and its interval for each of a series.

    Args:
        axes: where.
        rows: row -> name of a series -> over seeds.
        series: name -> how it is drawn, from above to below.
    """
    for i, (name, look) in enumerate(series.items()):
        numbers = [y for y, row in enumerate(rows.values()) if name in row]
        mean, low, high = _intervals([row[name] for row in rows.values() if name in row])
        # The dots of a row share six tenths of it, from above to below.
        offset = 0.6 * ((i + 0.5) / len(series) - 0.5)
        places = np.array(numbers) + offset
        error = [mean - low, high - mean]
        axes.errorbar(
            mean, places, xerr=error, linestyle="none", capsize=3, label=name, **look.points
        )
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color="black", linewidth=0.5, alpha=0.2)
    axes.set_yticks(range(len(rows)), [textwrap.fill(name, NAME_WIDTH) for name in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(len(rows) - 0.5, -0.5)


def plot_references(axes: Axes, references: Mapping[str, float]) -> None:
    """Draw what scripted policies reach, such as the best possible."""
    for style, (name, value) in zip(("-", "--", ":"), references.items(), strict=False):
        label = f"{name} {value:.2f}"
        axes.axhline(value, color=GREY, linewidth=1, linestyle=style, label=label, zorder=1)


def _intervals(summaries: Sequence[Summary]) -> tuple[Array, Array, Array]:
    """Return means, and where their intervals begin and end, each (n,); NaN for one seed."""
    columns = np.array(
        [
            (summary.mean, summary.low, summary.high)
            if summary.n > 1
            else (summary.mean, np.nan, np.nan)
            for summary in summaries
        ]
    )
    mean, low, high = columns.reshape(-1, 3).T
    return mean, low, high


def _has_labels_at_once(result: Result) -> bool:
    """Return whether a run had labels at its first evaluation: a logarithm of 0 cannot be drawn."""
    curve = _behind_the_start(result.curve)
    return len(curve) > 0 and curve[0, _LABELS] > 0


def _behind_the_start(curve: Array) -> Array:
    """Leave out what was evaluated before the first step, when there are no labels yet."""
    return curve[curve[:, _STEPS] > 0]
