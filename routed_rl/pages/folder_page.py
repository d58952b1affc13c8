"""The page of a folder of runs: how the methods compare, and a table of the runs to sort."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from routed_rl.experiments import results
from routed_rl.experiments.results import Result
from routed_rl.experiments.summaries import summarise
from routed_rl.pages.html import FOLDER_SCRIPTS, NAME, page
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import write_text


def write(folder: Path) -> Path:
    """Write report.html of all finished runs in a folder; return its path.

    Raises:
        UserError: if there are none.
    """
    runs, left_out = results.load(folder)
    if not runs:
        raise UserError(f"{folder} has no finished run: give a run, or a folder with runs in it.")
    path = folder / NAME
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    title = f"{count} in {folder.resolve().name}"
    write_text(
        path, page(f"{title} · routed_rl", _describe(title, folder, runs, left_out), FOLDER_SCRIPTS)
    )
    return path


def _describe(
    title: str, folder: Path, runs: Sequence[Result], left_out: dict[str, str]
) -> dict[str, Any]:
    """Gather what the page shows."""
    outcomes = dict.fromkeys(name for run in runs for name in run.reports["policies"].outcomes)
    return {
        "title": title,
        "outcomes": [name for name in outcomes if name != "none"],
        "cells": _cells(runs),
        "runs": [_row(folder, run) for run in runs],
        "left_out": left_out,
    }


def _cells(runs: Sequence[Result]) -> list[dict[str, Any]]:
    """Summarise the methods of each world and oversight, the best first."""
    values: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    references: dict[tuple[str, float], dict[str, float]] = {}
    for run in runs:
        cell = (run.world, run.oversight)
        values[cell][run.method].append(run.reports["policies"].true_return)
        references[cell] = dict(run.references)
    found = []
    for (world, oversight), methods in sorted(values.items()):
        rows = [
            {"name": name, "points": points, **summarise(points)._asdict()}
            for name, points in methods.items()
        ]
        rows.sort(key=lambda row: -row["mean"])
        about = {"world": world, "oversight": oversight}
        found.append(about | {"references": references[world, oversight], "methods": rows})
    return found


def _row(folder: Path, run: Result) -> dict[str, Any]:
    """Describe a run; its page is linked if it has one."""
    report = run.reports["policies"]
    has_page = (folder / run.folder / NAME).exists()
    numbers = {
        "return": report.true_return,
        "unwatched": report.unwatched,
        "bad outcomes": report.bad_per_episode,
        "steps": report.mean_length,
    }
    return {
        "run": run.folder,
        "page": f"{run.folder}/{NAME}" if has_page else None,
        "world": run.world,
        "method": run.method,
        "oversight": run.oversight,
        "seed": run.seed,
        "labels": run.labels,
        **{name: x for name, x in numbers.items() if x is not None and math.isfinite(x)},
        "outcomes": dict(report.outcomes),
    }
