"""What a figure shows on its axes: lines against oversight, learning curves, rows of methods."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from routed_rl.experiments.results import Result
from routed_rl.experiments.styles import COLOURS, Looks
from routed_rl.experiments.summaries import Summary, tabulate

Array = NDArray[np.float64]

# Columns of a curve.
_STEPS = 0
_LABELS = 1
_RETURN = 2


def start_figure(title: str, x: str, y: str = "", height: float = 4.6) -> tuple[Figure, Axes]:
    """Start a figure of a height in inches, with room for names at its right."""
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Leave out what frames a picture, and draw a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def save_figure(figure: Figure, path: Path, *, below: bool = False) -> list[Path]:
    """Add the names, beside the picture or below it, and write png and svg."""
    if below:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    else:
        figure.axes[0].legend(
            loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=3
        )
    files = [path.with_name(path.name + suffix) for suffix in (".png", ".svg")]
    for file in files:
        figure.savefig(file, dpi=150)
    return files


def plot_against_oversight(
    axes: Axes, results: Sequence[Result], measure: str, looks: Looks
) -> None:
    """Draw a line for each method, with its interval."""
    if measure != "bad_per_episode":  # references are returns
        _plot_references(axes, results)
    for method, row in tabulate(results, measure, "policies").items():
        levels = list(row)
        mean, low, high = _intervals(list(row.values()))
        look = looks[method]
        axes.plot(levels, mean, linestyle=look.style, color=look.colour, marker="o", label=method)
        axes.fill_between(levels, low, high, color=look.colour, alpha=0.15, linewidth=0)
    levels = sorted({result.oversight for result in results})
    # Small levels are where methods differ; a logarithm of 0 cannot be drawn.
    if levels[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.minorticks_off()


def plot_learning(
    axes: Axes, results: Sequence[Result], against: Literal["steps", "labels"], looks: Looks
) -> None:
    """Draw learning curves, the mean over seeds and their range, against steps or labels."""
    _plot_references(axes, results)
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
        marker = "o" if len(x) == 1 else None  # a line of one point would not be seen
        look = looks[method]
        axes.plot(
            x, y.mean(axis=0), linestyle=look.style, color=look.colour, marker=marker, label=method
        )
        low = y.min(axis=0)
        high = y.max(axis=0)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.12, linewidth=0)
    if against == "labels" and all(_has_labels_at_once(result) for result in results):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def plot_rows(axes: Axes, rows: Mapping[str, Mapping[str, Summary]], series: Sequence[str]) -> None:
    """Draw rows one below the other, each with a dot and its interval for each of a series."""
    for i, name in enumerate(series):
        numbers = [y for y, row in enumerate(rows.values()) if name in row]
        mean, low, high = _intervals([row[name] for row in rows.values() if name in row])
        # The dots of a row share six tenths of it, from above to below.
        offset = 0.6 * ((i + 0.5) / len(series) - 0.5)
        axes.errorbar(
            mean,
            np.array(numbers) + offset,
            xerr=[mean - low, high - mean],
            fmt="o",
            color=COLOURS[i % len(COLOURS)],
            capsize=3,
            markersize=5,
            label=name,
        )
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color="black", linewidth=0.5, alpha=0.2)
    axes.set_yticks(range(len(rows)), [textwrap.fill(name, 28) for name in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()


def _intervals(summaries: Sequence[Summary]) -> tuple[Array, Array, Array]:
    """Return means, and where their intervals begin and end, each (n,)."""
    columns = np.array([(summary.mean, summary.low, summary.high) for summary in summaries])
    mean, low, high = columns.reshape(-1, 3).T
    return mean, low, high


def _plot_references(axes: Axes, results: Sequence[Result]) -> None:
    """Draw what scripted policies reach, such as the best possible, where all runs agree on it."""
    references = results[0].references
    if any(result.references != references for result in results):
        return
    for style, (name, value) in zip(("-", "--", ":"), references.items(), strict=False):
        axes.axhline(
            value, color="black", linewidth=0.8, linestyle=style, label=f"{name} {value:.2f}"
        )


def _has_labels_at_once(result: Result) -> bool:
    """Return whether a run had labels at its first evaluation: a logarithm of 0 cannot be drawn."""
    curve = _behind_the_start(result.curve)
    return len(curve) > 0 and curve[0, _LABELS] > 0


def _behind_the_start(curve: Array) -> Array:
    """Leave out what was evaluated before the first step, when there are no labels yet."""
    return curve[curve[:, _STEPS] > 0]
