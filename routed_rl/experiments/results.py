"""What came out of a folder of runs: a result of each, named by its world and its method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from routed_rl.evaluation.report import Report
from routed_rl.experiments.method_names import Names, demand_names, name_runs
from routed_rl.training.builder import settings_of
from routed_rl.training.run_folder import RunResult, read_result
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import csv_rows

FIGURES = "figures"
"""The folder that figures are written into, beside the runs."""
TABLE = "tables.csv"
"""The file by which any folder of figures is known."""
CHECKPOINTS = {
    "policies": "last",
    "best_by_labels": "best by labels",
    "best_by_truth": "best by truth (cheats)",
}
"""Key in result.json -> what tables call it."""


@dataclass(frozen=True)
class Result:
    """One finished run."""

    world: str
    """The environment, and what sets it apart from the other runs' environments."""
    method: str
    """The agent, and what sets it apart from that agent's other runs."""
    oversight: float
    """Probability that an end is overseen."""
    seed: int
    labels: int
    """Labelled episodes."""
    steps: int
    """Environment steps."""
    references: Mapping[str, float]
    """Returns of scripted policies in its world.

    They are computed anew in every run, so they are rounded to six digits.
    """
    folder: str
    """The name of its folder."""
    reports: Mapping[str, Report]
    """Which checkpoint -> what its policy to deploy does."""
    curve: NDArray[np.float64] = field(repr=False)
    """(n, 3): environment steps, labelled episodes, return of the policy to deploy."""


class _Run(NamedTuple):
    """A run as its folder has it."""

    name: str
    settings: dict[str, Any]
    result: RunResult
    reports: dict[str, Report]
    curve: NDArray[np.float64]


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, finished or not."""
    return (folder / "config.yaml").exists()


def is_figures(folder: Path) -> bool:
    """Return whether a folder is one that figures were written into."""
    return not is_run(folder) and (folder.name == FIGURES or (folder / TABLE).exists())


def load(folder: Path) -> tuple[list[Result], dict[str, str]]:
    """Read the runs in a folder.

    Returns:
        The finished ones, and for every other folder in it why it is left out. Folders of figures
        are passed over.
    """
    runs: list[_Run] = []
    left_out: dict[str, str] = {}
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not is_figures(path))
    # A bar shows after two seconds, on a terminal, and goes when all is done.
    for path in tqdm(folders, "reading", unit=" runs", delay=2, leave=False, disable=None):
        if not is_run(path):
            left_out[path.name] = "it is no run: it has no config.yaml"
        elif not (path / "result.json").exists():
            left_out[path.name] = "it is not finished: it has no result.json"
        else:
            try:
                run = _read(path)
                if run.result["env_steps"] < run.settings.get("steps", 0):
                    left_out[path.name] = "it is not finished: its result.json is of fewer steps"
                else:
                    runs.append(run)
            except (UserError, OSError, ValueError, KeyError, TypeError) as error:
                left_out[path.name] = f"it cannot be read: {str(error).splitlines()[0]}"
    names = name_runs([run.settings for run in runs])
    results: dict[tuple[Any, ...], Result] = {}
    first: dict[tuple[Any, ...], str] = {}
    for run, named in zip(runs, names, strict=True):
        result = _result(run, named)
        # A seed that counted twice would make an interval too narrow.
        key = (result.world, result.method, result.oversight, result.seed)
        if key in first:
            left_out[run.name] = (
                f"it has the settings and the seed of {first[key]}, and would count twice"
            )
        else:
            first[key] = run.name
            results[key] = result
    return list(results.values()), left_out


def _read(path: Path) -> _Run:
    """Read the folder of a finished run.

    Raises:
        UserError, OSError, ValueError, KeyError, TypeError: if something is not what it should be.
    """
    settings = settings_of(path)
    # What names a run is looked up before any is named: one broken run must not stop the others.
    demand_names(settings)
    result = read_result(path / "result.json")
    deployed = result["deployed"]
    # Labels, or the run's length, may not have allowed a choice of a best checkpoint.
    reports = {"policies": result["policies"][deployed]}
    if "best_by_labels" in result:
        reports["best_by_labels"] = result["best_by_labels"]["policies"][deployed]
    if "best_by_truth" in result:
        reports["best_by_truth"] = result["best_by_truth"]["policies"][deployed]
    return _Run(path.name, settings, result, reports, _curve(path / "metrics.csv", deployed))


def _result(run: _Run, names: Names) -> Result:
    """Put together what is known of a run."""
    references = run.result["references"]
    return Result(
        world=names.world,
        method=names.method,
        oversight=run.settings["env"]["oversight"],
        seed=run.result["seed"],
        labels=run.result["labelled_episodes"],
        steps=run.result["env_steps"],
        references={name: round(value, 6) for name, value in references.items()},
        folder=run.name,
        reports=run.reports,
        curve=run.curve,
    )


def _curve(path: Path, deployed: str) -> NDArray[np.float64]:
    """Read steps, labels and return of the policy to deploy at each evaluation: (n, 3)."""
    columns = ("env_steps", "routing/labelled_episodes", f"eval/{deployed}/return")
    points: list[list[float]] = []
    for row in csv_rows(path):
        if row.get(columns[-1]):  # empty between evaluations
            points.append([float(row[name]) for name in columns])
    return np.array(points).reshape(-1, 3)
