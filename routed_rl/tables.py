"""Summaries of results over seeds, and tables of them."""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from routed_rl.results import CHECKPOINTS, Result


class Summary(NamedTuple):
    """What some seeds have in common."""

    mean: float
    low: float
    high: float
    iqm: float
    n: int

    def text(self, form: str, *, bold: bool = False) -> str:
        """Write mean (low to high)."""
        mean = f"{self.mean:{form}}"
        return f"{f'**{mean}**' if bold else mean} ({self.low:{form}} to {self.high:{form}})"


def summarise(values: Sequence[float]) -> Summary:
    """Take mean, 95% bootstrap interval of the mean, and interquartile mean of one value a seed."""
    array = np.asarray(values)
    low = high = float(array.mean())
    if len(array) > 1 and array.std() > 0:
        interval = stats.bootstrap((array,), np.mean, n_resamples=2000, method="percentile", rng=0).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Summary(float(array.mean()), low, high, float(stats.trim_mean(array, 0.25)), len(array))


def tabulate(results: Sequence[Result], measure: str, checkpoint: str) -> dict[str, dict[float, Summary]]:
    """Summarise a measure of one choice of checkpoint: method -> oversight -> over seeds."""
    return _summaries((r, r.reports[checkpoint][measure]) for r in results if checkpoint in r.reports)


def differences(
    results: Sequence[Result], measure: str, checkpoint: str, against: str
) -> dict[str, dict[float, Summary]]:
    """Summarise by how much each method is above one of them, over the seeds that both have."""
    found = [(r, r.reports[checkpoint][measure]) for r in results if checkpoint in r.reports]
    base = {(r.oversight, r.seed): value for r, value in found if r.method == against}
    pairs = ((r, value, base.get((r.oversight, r.seed))) for r, value in found if r.method != against)
    return _summaries((r, value - other) for r, value, other in pairs if other is not None)


def _summaries(values: Iterable[tuple[Result, float]]) -> dict[str, dict[float, Summary]]:
    """Summarise a value of each run: method -> oversight -> over seeds."""
    cells: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result, value in values:
        cells[result.method][result.oversight].append(value)
    return {method: {p: summarise(row[p]) for p in sorted(row)} for method, row in sorted(cells.items())}


def by_world(
    results: Sequence[Result], measure: str, checkpoint: str, oversight: float
) -> dict[str, dict[str, Summary]]:
    """Summarise a measure at one level of oversight: world -> method -> over seeds."""
    here: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.oversight == oversight:
            here[result.world].append(result)
    return {
        world: {method: row[oversight] for method, row in tabulate(runs, measure, checkpoint).items()}
        for world, runs in sorted(here.items())
    }


def markdown(
    table: Mapping[str, Mapping[Any, Summary]], form: str = ".3f", *, corner: str = "method", best_of: str = "column"
) -> str:
    """Write a table: mean, and its interval, in each cell; the best mean of each "column" or "row" is bold."""
    columns = sorted({column for row in table.values() for column in row})
    lines = ["| " + " | ".join((corner, *map(_title, columns))) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in table.items():
        cells = []
        for column in columns:
            rivals = (
                row.values() if best_of == "row" else (other[column] for other in table.values() if column in other)
            )
            best = max((summary.mean for summary in rivals), default=0.0)
            cells.append(row[column].text(form, bold=row[column].mean == best) if column in row else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _title(column: object) -> str:
    """Write the name of a column."""
    return f"{column:g}" if isinstance(column, float) else str(column)


def _world_by_world(results: Sequence[Result]) -> str:
    """Write a table of worlds and methods for each level of oversight."""
    text = ""
    levels = sorted({result.oversight for result in results})
    for (checkpoint, title), measure, level in itertools.product(CHECKPOINTS.items(), ("return", "unwatched"), levels):
        table = by_world(results, measure, checkpoint, level)
        if any(table.values()):
            text += f"## World by world: {measure}, {title} checkpoint, {level:g} oversight\n\n"
            text += "Mean and 95% bootstrap interval over seeds; the best mean of each world is bold.\n\n"
            text += markdown(table, corner="world", best_of="row") + "\n"
    return text


def write_tables(results: Sequence[Result], folder: Path, against: str | None = None) -> list[Path]:
    """Write tables.md and tables.csv, also of the differences from one method if it is named."""
    text, rows = "", []
    worlds = sorted({result.world for result in results})
    for world, (checkpoint, title) in itertools.product(worlds, CHECKPOINTS.items()):
        here = [result for result in results if result.world == world]
        for measure in ("return", "unwatched"):
            tables = {measure: tabulate(here, measure, checkpoint)}
            if against is not None:
                tables[f"{measure} minus that of {against}"] = differences(here, measure, checkpoint, against)
            for name, table in tables.items():
                if table:
                    text += f"## {f'{world}: ' if len(worlds) > 1 else ''}{name}, {title} checkpoint\n\n"
                    over = "seeds" if name == measure else "pairs of one seed"
                    text += f"Mean and 95% bootstrap interval over {over}; the best mean is bold.\n\n"
                    text += markdown(table, ".3f" if name == measure else "+.3f") + "\n"
                first = {"world": world, "checkpoint": title, "measure": name}
                rows += [
                    first | {"method": m, "oversight": p} | summary._asdict()
                    for m, row in table.items()
                    for p, summary in row.items()
                ]
    if len(worlds) > 1:
        text = _world_by_world(results) + text
    (folder / "tables.md").write_text(text)
    with (folder / "tables.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [folder / "tables.md", folder / "tables.csv"]
