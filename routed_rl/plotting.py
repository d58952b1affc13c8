"""Figures from a folder of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from routed_rl.results import Result, tabulate, write_tables

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8a6d3b", "#7a52c7", "#b22222")
"""Okabe and Ito's, told apart by colour-blind readers, and four more."""


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write every figure and table that the runs allow into a folder; return the files.

    A folder of runs in several worlds has the figures of each in a folder of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    methods = sorted({result.method for result in results})
    colours = {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(methods)}
    written = write_tables(results, folder)
    worlds = sorted({result.world for result in results})
    for world in worlds:
        here = [result for result in results if result.world == world]
        written += _figures(here, colours, folder if len(worlds) == 1 else folder / re.sub(r"[^\w.]+", "-", world))
    return written


def _figures(results: Sequence[Result], colours: Mapping[str, str], folder: Path) -> list[Path]:
    """Draw the figures of one world."""
    folder.mkdir(exist_ok=True)
    written = []
    for measure, title in (("return", "Return"), ("unwatched", "Return where nothing is overseen")):
        figure, axes = _figure(title, "oversight: chance that an end is seen", "exact return of the policy to ship")
        _against_oversight(axes, results, measure, colours)
        written += _save(figure, folder / f"{measure}_against_oversight")
    for level in sorted({result.oversight for result in results}):
        here = [result for result in results if result.oversight == level]
        for column, name, label in ((0, "steps", "environment steps"), (1, "labels", "labelled episodes")):
            figure, axes = _figure(f"Learning at {level:g} oversight", label, "exact return of the policy to ship")
            _against(axes, here, column, colours)
            written += _save(figure, folder / f"return_against_{name}_at_{level:g}")
    return written


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Start a figure with room for names at its right."""
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure: Figure, path: Path) -> list[Path]:
    """Add the names and write png and svg."""
    figure.axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    files = [path.with_name(path.name + suffix) for suffix in (".png", ".svg")]
    for file in files:
        figure.savefig(file, dpi=150)
    return files


def _ceilings(axes: Axes, results: Sequence[Result]) -> None:
    """Draw what scripted policies reach, where all runs are of one world: the best possible, and a blind seeker."""
    references = results[0].references
    if all(result.references == references for result in results):
        for style, (name, value) in zip(("-", "--", ":"), references.items(), strict=False):
            axes.axhline(value, color="black", linewidth=0.8, linestyle=style, label=f"{name} {value:.2f}")


def _against_oversight(axes: Axes, results: Sequence[Result], measure: str, colours: Mapping[str, str]) -> None:
    """Draw a line for each method, with its interval."""
    _ceilings(axes, results)
    for method, row in tabulate(results, measure, "policies").items():
        levels, summaries = list(row), list(row.values())
        axes.plot(levels, [s.mean for s in summaries], _style(method), color=colours[method], marker="o", label=method)
        low, high = [s.low for s in summaries], [s.high for s in summaries]
        axes.fill_between(levels, low, high, color=colours[method], alpha=0.15, linewidth=0)
    levels = sorted({result.oversight for result in results})
    if levels[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(levels, [f"{p:g}" for p in levels])
    axes.minorticks_off()


def _style(method: str) -> str:
    """Draw a method with a switch as a dashed line."""
    return "--" if "," in method else "-"


def _against(axes: Axes, results: Sequence[Result], column: int, colours: Mapping[str, str]) -> None:
    """Draw learning curves, the mean over seeds, against steps or labels."""
    _ceilings(axes, results)
    for method in sorted({result.method for result in results}):
        curves = [result.curve for result in results if result.method == method and len(result.curve)]
        if not curves:
            continue
        length = min(len(curve) for curve in curves)
        stacked = np.stack([curve[:length] for curve in curves])
        x, y = stacked[:, :, column].mean(axis=0), stacked[:, :, 2]
        marker = "o" if len(x) == 1 else None  # a line of one point would not be seen
        axes.plot(x, y.mean(axis=0), _style(method), color=colours[method], marker=marker, label=method)
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colours[method], alpha=0.12, linewidth=0)
    if column == 1 and all(len(result.curve) and result.curve[0, 1] > 0 for result in results):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
