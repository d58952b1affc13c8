"""Figures of one run: the learning curves of all its policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from routed_rl.experiments import plots
from routed_rl.experiments.canvas import add_legend, save_figure, start_figure
from routed_rl.experiments.method_names import demand_names, name_runs
from routed_rl.experiments.styles import look_of
from routed_rl.experiments.summaries import LOWER_IS_BETTER
from routed_rl.training.builder import settings_of
from routed_rl.training.run_folder import RunResult, read_result
from routed_rl.utils.errors import UserError, one_line
from routed_rl.utils.files import csv_rows

MEASURES = {
    "return": ("Return", "return"),
    "unwatched": ("Return where nothing is overseen", "return"),
    "bad_per_episode": ("Bad outcomes", "bad outcomes per episode"),
}
"""In metrics.csv -> the title of its figure, and what stands beside the axes."""
Curve = tuple[plots.Array, plots.Array]
"""Environment steps (n,), and what was measured there (n,)."""


@dataclass(frozen=True)
class SingleRun:
    """A finished run, with the curves of all its policies."""

    title: str
    """Agent, world, oversight and seed."""
    result: RunResult
    curves: Mapping[str, Mapping[str, Curve]]
    """Measure -> policy, the one to deploy first -> its curve."""


def read_run(folder: Path) -> SingleRun:
    """Read the folder of a finished run.

    Raises:
        UserError: if it is not finished, or something in it is not what it should be.
    """
    if not (folder / "result.json").exists():
        raise UserError(
            f"{folder} is not finished: it has no result.json. "
            f"python train.py --resume {folder} goes on with it."
        )
    settings = settings_of(folder)
    try:
        result = read_result(folder / "result.json")
        demand_names(settings)
        names = name_runs([settings])[0]
        title = f"{names.method} in {names.world}, oversight {settings['env']['oversight']:g}, "
        title += f"seed {result['seed']}" + " (sees everything)" * result["sees_everything"]
        deployed = result["deployed"]
        policies = [deployed, *(name for name in result["policies"] if name != deployed)]
        return SingleRun(title, result, _curves(folder / "metrics.csv", policies))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} cannot be read: {one_line(error)}") from error


def draw_run(run: SingleRun, folder: Path) -> list[Path]:
    """Write a figure of each measure that the run has, as png and svg; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for measure in MEASURES:
        if run.curves[measure]:
            written += save_figure(learning(run, measure), folder / f"{measure}_against_steps")
    return written


def learning(run: SingleRun, measure: str) -> Figure:
    """Draw a measure of every policy against steps."""
    title, y = MEASURES[measure]
    figure, axes = start_figure(title, "environment steps", y, note=run.title)
    for number, (policy, curve) in enumerate(run.curves[measure].items()):
        name = f"{policy} (deployed)" if policy == run.result["deployed"] else policy
        plots.plot_curve(axes, *curve, look_of(run.result["agent"], number), name)
    if measure not in LOWER_IS_BETTER:  # references are returns
        plots.plot_references(axes, run.result["references"])
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    add_legend(figure)
    return figure


def _curves(path: Path, policies: list[str]) -> dict[str, dict[str, Curve]]:
    """Read the curves of each measure and policy, without those that were not looked for."""
    rows = list(csv_rows(path))
    curves: dict[str, dict[str, Curve]] = {}
    for measure in MEASURES:
        curves[measure] = {}
        for policy in policies:
            column = f"eval/{policy}/{measure}"
            found = [row for row in rows if row.get(column)]  # empty between evaluations
            if found:
                steps = np.array([float(row["env_steps"]) for row in found])
                values = np.array([float(row[column]) for row in found])
                curves[measure][policy] = steps, values
    return curves
