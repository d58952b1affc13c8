"""What the examples draw: means over seeds, with 95% intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from routed_rl.experiments.styles import COLOURS
from routed_rl.experiments.summaries import Summary

_GAP = 0.02


def bars(axes: Axes, groups: Mapping[str, Sequence[Summary]], *, step: float, cap: float) -> None:
    """Draw bars side by side, one of each group at every place.

    Args:
        axes: to draw on.
        groups: label -> a summary for each place.
        step: from one bar to the next, where places are 1 apart.
        cap: length of an interval's caps, in points.
    """
    for number, (label, summaries) in enumerate(groups.items()):
        offset = (number - (len(groups) - 1) / 2) * step
        axes.bar(
            [place + offset for place in range(len(summaries))],
            [summary.mean for summary in summaries],
            step - _GAP,
            yerr=spread(summaries),
            label=label,
            color=COLOURS[number],
            capsize=cap,
        )


def spread(summaries: Sequence[Summary]) -> list[list[float]]:
    """Return how far the intervals reach below and above the means, as matplotlib wants it."""
    below = [summary.mean - summary.low for summary in summaries]
    above = [summary.high - summary.mean for summary in summaries]
    return [below, above]


def save(figure: Figure, path: Path) -> None:
    """Write a picture, and make the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
