"""A picture of the dial: return, outcomes and flags against the weight of the unwanted experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import LogLocator, NullLocator

from routed_rl.evaluation.dial import CONFIDENCE, Dial, DialPoint
from routed_rl.experiments.canvas import INK, make_room, style_axes
from routed_rl.experiments.styles import COLOURS

_SIZE = (6.0, 7.6)
"""Without the legends, in inches."""


def draw_dial(dial: Dial, path: Path, title: str) -> None:
    """Draw a dial into a file of a format that matplotlib knows by its name."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    weights = [point.weight for point in dial.points]
    marker = "o" if len(weights) == 1 else None  # a line of one point would not be seen
    _plot_return(panels[0], weights, dial.points, marker)
    _plot_outcomes(panels[1], weights, dial.points, marker)
    _plot_flags(panels[2], weights, dial, marker)
    panels[0].set_title(title, loc="left", fontweight="bold")
    panels[-1].set_xlabel("weight of the unwanted experts (0: ablated)")
    legends: list[Legend] = []
    for number, axes in enumerate(panels):
        style_axes(axes)
        _mark_choices(axes, dial, named=number == 0)
        legends.append(axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False))
    make_room(figure, *legends)
    figure.align_ylabels()
    figure.savefig(path, dpi=150)


def _plot_return(
    axes: Axes, weights: Sequence[float], points: Sequence[DialPoint], marker: str | None
) -> None:
    """Draw the true return, with two standard errors where episodes were played."""
    value = np.array([point.report.true_return for point in points])
    error = np.array([point.report.standard_error or 0.0 for point in points])
    axes.plot(weights, value, color=INK, marker=marker, label="true return")
    axes.fill_between(weights, value - 2 * error, value + 2 * error, color=INK, alpha=0.15, lw=0)
    axes.set_ylabel("return")


def _plot_outcomes(
    axes: Axes, weights: Sequence[float], points: Sequence[DialPoint], marker: str | None
) -> None:
    """Draw how often each outcome happens in an episode."""
    for number, name in enumerate(points[0].report.outcomes_per_episode or {}):
        counts = [(point.report.outcomes_per_episode or {})[name] for point in points]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(weights, counts, color=colour, marker=marker, label=name)
    axes.set_ylabel("outcomes per episode")
    axes.set_ylim(bottom=0)


def _plot_flags(axes: Axes, weights: Sequence[float], dial: Dial, marker: str | None) -> None:
    """Draw flags, their upper bound, and the bound that they have to keep."""
    colour = COLOURS[-2]  # of no outcome, unless there are nine
    flagged = [point.flagged for point in dial.points]
    upper = [point.flagged_upper for point in dial.points]
    axes.plot(weights, flagged, color=colour, marker=marker, label="flagged")
    label = f"at most ({CONFIDENCE:.0%} confidence)"
    axes.fill_between(weights, flagged, upper, color=colour, alpha=0.25, lw=0, label=label)
    axes.axhline(dial.bound, color=INK, lw=1, ls="--", label=f"bound {dial.bound:g}")
    # The bound lies where flags are few. Those that are 0 lie below the picture.
    axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=min(dial.bound, *upper) / 3)
    axes.set_ylabel("flagged per episode")


def _mark_choices(axes: Axes, dial: Dial, *, named: bool) -> None:
    """Draw a line at the weight that labels choose, and at the one that the truth would."""
    lines = {"best by truth (cheats)": (dial.best_by_truth, INK, ":", 1.2)}
    if dial.chosen is not None:
        lines["chosen by labels"] = (dial.chosen, COLOURS[2], "-", 2.5)
    for who, (point, colour, style, width) in lines.items():
        label = f"{who}: {point.weight:g}" if named else None
        axes.axvline(point.weight, color=colour, ls=style, lw=width, alpha=0.8, label=label)
