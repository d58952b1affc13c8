"""Where the order of methods turns in the substitution world: one picture of three borders.

    python benchmarks/border.py docs/pictures/research/border.png \
        --border runs/substitution_border --recall runs/substitution --pressure pressure.csv

Left, how far `routed` is above a penalty that is corrected for recall, over the share of hackable
episodes and the price of the glitch (sweeps/substitution_border.toml). In the middle, the return of
methods by recall (sweeps/substitution.toml). Right, their return as training goes on
(benchmarks/pressure.py).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from substitution import name, read

from routed_rl.experiments.canvas import style_axes
from routed_rl.experiments.styles import COLOURS
from routed_rl.experiments.summaries import summarise
from routed_rl.training.builder import settings_of

SHOWN = {
    "reward_model, judgement alone": ("reward_model", "reward model, judgement alone"),
    "routed": ("routed", "routed"),
    "routed, no routes": ("routed, routes none", "the same gate, no routes"),
    "naive, recall corrected": ("naive, recall corrected", "penalty / recall"),
    "filtered": ("filtered", "filtered"),
}
"""Method in sweeps -> in pressure.csv, and in the picture."""
LOOKS = {method: COLOURS[number] for number, method in enumerate(SHOWN)}
Advantage = dict[tuple[float, float], float]
"""(share of hackable episodes, price of the glitch) -> mean over seeds."""


def advantage(folder: Path) -> Advantage:
    """Return how far routed is above the corrected penalty, paired by seed."""
    found: dict[tuple[float, float, int], dict[str, float]] = defaultdict(dict)
    for path in folder.glob("*/result.json"):
        settings = settings_of(path.parent)
        result = json.loads(path.read_text())
        env = settings["env"]
        key = (env["hackable"], env["glitch_pays"], result["seed"])
        value = result["policies"][result["deployed"]]["return"]
        found[key][name(settings["agent"])] = value
    cells: dict[tuple[float, float], list[float]] = defaultdict(list)
    for (hackable, price, _), values in found.items():
        if len(values) == 2:
            difference = values["routed"] - values["naive, recall corrected"]
            cells[hackable, price].append(difference)
    return {key: mean(values) for key, values in cells.items()}


def draw_advantage(axes: Axes, cells: Advantage) -> None:
    """Draw a cell for each share and price, with its number."""
    shares = sorted({share for share, _ in cells})
    prices = sorted({price for _, price in cells})
    grid = np.array([[cells.get((share, price), np.nan) for price in prices] for share in shares])
    most = float(np.nanmax(abs(grid)))
    axes.imshow(grid, cmap="PuOr_r", vmin=-most, vmax=most, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        colour = "white" if abs(value) > 0.6 * most else "black"
        axes.text(column, row, f"{value:+.2f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(prices)), [f"{price:g}" for price in prices])
    axes.set_yticks(range(len(shares)), [f"{share:.0%}" for share in shares])
    axes.set_xlabel("the glitch pays (ghost 1, diamond 0.7)")
    axes.set_ylabel("hackable episodes")
    axes.set_title("routed minus penalty / recall, 1.6M steps", loc="left")


def draw_recall(axes: Axes, folder: Path) -> None:
    """Draw the return of each method by recall, with intervals."""
    tables = read(folder)
    for method, (_, title) in SHOWN.items():
        levels = [recall for recall in sorted(tables) if method in tables[recall]]
        found = [
            summarise([values["return"] for values in tables[recall][method].values()])
            for recall in levels
        ]
        means = [summary.mean for summary in found]
        axes.plot(levels, means, color=LOOKS[method], marker="o", label=title)
        low = [summary.low for summary in found]
        high = [summary.high for summary in found]
        axes.fill_between(levels, low, high, color=LOOKS[method], alpha=0.15, lw=0)
    style_axes(axes)
    axes.set_xticks(sorted(tables))
    axes.set_xlabel("recall of the overseer")
    axes.set_ylabel("true return")
    axes.set_title("by recall, 0.8M steps", loc="left")


def draw_pressure(axes: Axes, path: Path) -> None:
    """Draw the mean return of each method as training goes on."""
    curves: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            curves[row["method"]][int(row["steps"])].append(float(row["true_return"]))
    for method, (called, title) in SHOWN.items():
        if called in curves:
            steps = sorted(curves[called])
            means = [mean(curves[called][step]) for step in steps]
            axes.plot([step / 1e6 for step in steps], means, color=LOOKS[method], label=title)
    style_axes(axes)
    axes.set_xlabel("million steps, at recall 0.5")
    axes.set_title("under longer pressure", loc="left")


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("--border", type=Path, required=True)
    parser.add_argument("--recall", type=Path, required=True)
    parser.add_argument("--pressure", type=Path, required=True)
    asked = parser.parse_args()
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_advantage(left, advantage(asked.border))
    draw_recall(middle, asked.recall)
    draw_pressure(right, asked.pressure)
    middle.sharey(right)
    handles, titles = middle.get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower right", ncols=5, frameon=False)
    figure.savefig(asked.picture, dpi=110)


if __name__ == "__main__":
    main()
