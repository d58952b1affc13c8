"""The sheet of a figure: its size, what frames it, what stands above it, and its legend."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

INK = "#222222"
GREY = "#666666"
SIZE = (5.4, 3.8)
"""Of a figure without its legend, in inches: its words can be read on half a page."""
NAME_WIDTH = 28
"""Characters, after which a name goes on in another line."""
_GAP = 0.2
"""Around a legend, in inches."""
_MOST_IN_COLUMN = 20
"""Names in a column of a legend."""


def start_figure(
    title: str, x: str, y: str = "", *, note: str = "", size: tuple[float, float] = SIZE
) -> tuple[Figure, Axes]:
    """Start a figure.

    Args:
        title: what it shows.
        x: what stands below the axes.
        y: what stands beside them.
        note: how to read it, below the title.
        size: without a legend, in inches.
    """
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    # The empty line below the title is that of the note.
    axes.set_title(title + "\n" * bool(note), loc="left", fontweight="bold")
    above = {"xytext": (0, 7), "textcoords": "offset points", "color": GREY, "fontsize": 9}
    axes.annotate(note, (0, 1), xycoords="axes fraction", **above)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    style_axes(axes)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Leave out what frames a picture, and draw a light grid behind everything."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def add_legend(figure: Figure) -> None:
    """Add the names at the right, and make the figure as large as they need.

    Lines are named from above to below, as they end.
    """
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if not handles:
        return
    pairs = sorted(zip(handles, labels, strict=True), key=lambda pair: _end(pair[0]), reverse=True)
    legend = figure.legend(
        [handle for handle, _ in pairs],
        [textwrap.fill(label, NAME_WIDTH) for _, label in pairs],
        loc="outside right center",
        ncols=math.ceil(len(pairs) / _MOST_IN_COLUMN),
        frameon=False,
        fontsize=9,
        handlelength=3,
    )
    make_room(figure, legend)


def make_room(figure: Figure, *legends: Legend) -> None:
    """Make a figure as much wider as the widest legend is, and as high as the highest."""
    boxes = [legend.get_window_extent() for legend in legends]
    width, height = figure.get_size_inches()
    width += max(box.width for box in boxes) / figure.dpi + _GAP
    height = max(height, *(box.height / figure.dpi + 2 * _GAP for box in boxes))
    figure.set_size_inches(width, height)


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as png and as svg; return the files."""
    files = [path.with_name(path.name + suffix) for suffix in (".png", ".svg")]
    for file in files:
        figure.savefig(file, dpi=200)
    return files


def _end(handle: Any) -> float:
    """Return where a line ends; all else stays in its order."""
    return np.asarray(handle.get_ydata(), float)[-1] if isinstance(handle, Line2D) else 0.0
