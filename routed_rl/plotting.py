"""Figures from a folder of runs."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from routed_rl.results import Result
from routed_rl.tables import Summary, by_world, tabulate, write_tables

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8a6d3b", "#7a52c7", "#b22222")
"""Okabe and Ito's, told apart by colour-blind readers, and four more."""
Style = str | tuple[int, tuple[int, ...]]
STYLES: tuple[Style, ...] = ("-", "--", ":", "-.", (0, (8, 2)), (0, (1, 4)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2, 2, 2)))
Looks = Mapping[str, tuple[str, Style]]
"""Method -> its colour, which is the agent's, and its line style, which tells the agent's variants apart."""


def draw(results: Sequence[Result], folder: Path, against: str | None = None) -> list[Path]:
    """Write every figure and table that the runs allow into a folder; return the files.

    A folder of runs in several worlds has the figures of each in a folder of its own. If a method is named as `against`
    there are tables of the differences from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looks = {
        method: (COLOURS[i % len(COLOURS)], STYLES[j % len(STYLES)])
        for i, variants in enumerate(_variants(results).values())
        for j, method in enumerate(variants)
    }
    written = write_tables(results, folder, against)
    worlds = sorted({result.world for result in results})
    for world in worlds:
        here = [result for result in results if result.world == world]
        written += _figures(here, looks, folder if len(worlds) == 1 else folder / re.sub(r"[^\w.]+", "-", world))
    if len(worlds) > 1:
        written += _map(results, folder)
    return written


def _map(results: Sequence[Result], folder: Path) -> list[Path]:
    """Draw every world's methods, a figure for each level of oversight."""
    levels = sorted({result.oversight for result in results})
    return [
        file for p in levels for file in compare_worlds(by_world(results, "return", "policies", p), f"{p:g}", folder)
    ]


def compare_worlds(rows: Mapping[str, Mapping[str, Summary]], level: str, folder: Path) -> list[Path]:
    """Draw the returns at one level of oversight, world -> method -> over seeds, one world below the other."""
    series = list(dict.fromkeys(method for row in rows.values() for method in row))
    height = 1.8 + max(0.5, 0.1 * len(series)) * len(rows)
    figure, axes = _figure(f"World by world at {level} oversight", "return of the policy to ship", "", height)
    _compare(axes, rows, series)
    return _save(figure, folder / f"worlds_at_{level}", below=True)


def _variants(results: Sequence[Result]) -> dict[str, list[str]]:
    """List the methods of each agent, the plain one first."""
    variants: dict[str, list[str]] = defaultdict(list)
    for method in sorted({result.method for result in results}):
        variants[method.split(",")[0]].append(method)
    return variants


def _figures(results: Sequence[Result], looks: Looks, folder: Path) -> list[Path]:
    """Draw the figures of one world."""
    folder.mkdir(exist_ok=True)
    written = []
    for measure, title in (("return", "Return"), ("unwatched", "Return where nothing is overseen")):
        figure, axes = _figure(title, "oversight: chance that an end is seen", "return of the policy to ship")
        _against_oversight(axes, results, measure, looks)
        written += _save(figure, folder / f"{measure}_against_oversight")
    for level in sorted({result.oversight for result in results}):
        here = [result for result in results if result.oversight == level]
        for column, name, label in ((0, "steps", "environment steps"), (1, "labels", "labelled episodes")):
            figure, axes = _figure(f"Learning at {level:g} oversight", label, "return of the policy to ship")
            _against(axes, here, column, looks)
            written += _save(figure, folder / f"return_against_{name}_at_{level:g}")
    for agent, methods in _variants(results).items():
        if len(methods) > 1:
            height = 1.4 + 0.6 * len(methods)
            figure, axes = _figure(f"Variants of {agent}", "return of the policy to ship", "", height)
            _compare(axes, *_by_level([result for result in results if result.method in methods]))
            written += _save(figure, folder / f"variants_of_{agent}")
    return written


def _figure(title: str, x: str, y: str, height: float = 4.6) -> tuple[Figure, Axes]:
    """Start a figure with room for names at its right."""
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure: Figure, path: Path, *, below: bool = False) -> list[Path]:
    """Add the names, beside the picture or below it, and write png and svg."""
    if below:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    else:
        figure.axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=3)
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


def _against_oversight(axes: Axes, results: Sequence[Result], measure: str, looks: Looks) -> None:
    """Draw a line for each method, with its interval."""
    _ceilings(axes, results)
    for method, row in tabulate(results, measure, "policies").items():
        levels, summaries = list(row), list(row.values())
        colour, style = looks[method]
        axes.plot(levels, [s.mean for s in summaries], linestyle=style, color=colour, marker="o", label=method)
        low, high = [s.low for s in summaries], [s.high for s in summaries]
        axes.fill_between(levels, low, high, color=colour, alpha=0.15, linewidth=0)
    levels = sorted({result.oversight for result in results})
    if levels[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(levels, [f"{p:g}" for p in levels])
    axes.minorticks_off()


def _by_level(results: Sequence[Result]) -> tuple[dict[str, dict[str, Summary]], list[str]]:
    """Summarise returns: method -> oversight, and list the levels of oversight at which there are several methods."""
    rows = tabulate(results, "return", "policies")
    levels = [
        p for p in sorted({p for row in rows.values() for p in row}) if sum(p in row for row in rows.values()) > 1
    ]
    named = {method: {f"{p:g} oversight": summary for p, summary in row.items()} for method, row in rows.items()}
    return named, [f"{p:g} oversight" for p in levels]


def _compare(axes: Axes, rows: Mapping[str, Mapping[str, Summary]], series: Sequence[str]) -> None:
    """Draw rows one below the other, each with a dot and its interval for each of a series."""
    for i, name in enumerate(series):
        here = [(y, row[name]) for y, row in enumerate(rows.values()) if name in row]
        offset = 0.6 * ((i + 0.5) / len(series) - 0.5)
        errors = [[s.mean - s.low for _, s in here], [s.high - s.mean for _, s in here]]
        axes.errorbar(
            [s.mean for _, s in here],
            [y + offset for y, _ in here],
            xerr=errors,
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


def _against(axes: Axes, results: Sequence[Result], column: int, looks: Looks) -> None:
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
        colour, style = looks[method]
        axes.plot(x, y.mean(axis=0), linestyle=style, color=colour, marker=marker, label=method)
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.12, linewidth=0)
    if column == 1 and all(len(result.curve) and result.curve[0, 1] > 0 for result in results):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
