"""Tables of summaries: markdown to read, and csv to compute with."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from routed_rl.evaluation.terminal import print_rows
from routed_rl.experiments.results import CHECKPOINTS, TABLE, Result
from routed_rl.experiments.summaries import (
    INTERVAL,
    LOWER_IS_BETTER,
    MEASURES,
    ByOversight,
    Summary,
    by_world,
    differences,
    over_seeds,
    summarise,
    tabulate,
)

__all__ = [
    "Summary",
    "by_world",
    "differences",
    "markdown",
    "print_tables",
    "summarise",
    "tabulate",
    "write_tables",
]

COLUMNS = ("world", "checkpoint", "measure", "method", "oversight", *Summary._fields)
"""Of tables.csv."""


class _Table(NamedTuple):
    """A table of one world, at one choice of checkpoint."""

    world: str
    checkpoint: str
    measure: str
    rows: ByOversight
    paired: bool = False
    """Whether it is of differences between two methods."""
    lowest: bool = False
    """Whether the lowest mean is the best."""


def markdown(
    table: Mapping[str, Mapping[Any, Summary]],
    form: str = ".3f",
    *,
    corner: str = "method",
    best_of: Literal["column", "row"] = "column",
    lowest: bool = False,
) -> str:
    """Write a table whose cells are a mean and its interval.

    Args:
        table: row -> column -> what its cell holds; a cell may be missing.
        form: how to write numbers.
        corner: what stands over the names of the rows.
        best_of: the best mean of each "column" or "row" is bold.
        lowest: whether the lowest mean is the best.
    """
    # Rows may have other columns than the first one: not every method is run at every level.
    columns = sorted({column for row in table.values() for column in row})
    titles = " | ".join((corner, *map(_title, columns)))
    lines = [f"| {titles} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in table.items():
        cells: list[str] = []
        for column in columns:
            if column not in row:
                cells.append("")
                continue
            rivals = list(row.values())
            if best_of == "column":
                rivals = [other[column] for other in table.values() if column in other]
            # Equal means are all bold.
            best = (min if lowest else max)(summary.mean for summary in rivals)
            cells.append(row[column].text(form, bold=row[column].mean == best))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_tables(results: Sequence[Result], folder: Path, against: str | None = None) -> list[Path]:
    """Write tables.md and tables.csv.

    Args:
        results: of one world or several.
        folder: where to write.
        against: a method; there are tables of the differences from it too.

    Returns:
        The files.
    """
    tables = list(_tables(results, against))
    several = len({result.world for result in results}) > 1
    # What all worlds have in common comes before the worlds one by one.
    text = _world_by_world(results) if several else ""
    for table in tables:
        if table.rows:  # no run may have a best checkpoint by labels, or the method to compare with
            text += _section(table, with_world=several)
    (folder / "tables.md").write_text(text)
    # In the csv all tables are one, since whoever computes with it can choose rows.
    with (folder / TABLE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for table in tables:
            writer.writerows(_csv_rows(table))
    return [folder / "tables.md", folder / TABLE]


def print_tables(results: Sequence[Result], against: str | None = None) -> None:
    """Print what the runs of each world return in the end; the files have the rest.

    Args:
        results: of one world or several.
        against: a method; there are tables of the differences from it too.
    """
    for world in sorted({result.world for result in results}):
        runs = [result for result in results if result.world == world]
        found = {measure: tabulate(runs, measure, "policies") for measure in MEASURES}
        _print_world(world, found)
        if against is not None:
            found = {
                measure: differences(runs, measure, "policies", against) for measure in MEASURES
            }
            _print_world(world, found, against)


def _print_world(world: str, found: Mapping[str, ByOversight], against: str | None = None) -> None:
    """Print the return by oversight; other means beside it, if there is one level of oversight."""
    returns = found["return"]
    levels = sorted({level for row in returns.values() for level in row})
    if not levels:  # no run has the seed of one to compare with
        return
    form = ".3f" if against is None else "+.3f"
    columns = {
        f"{level:g}": {name: row[level].text(form) for name, row in returns.items() if level in row}
        for level in levels
    }
    title = f"return by oversight in {world}"
    if len(levels) == 1:
        title = f"{world} at {levels[0]:g} oversight"
        columns = {"return": columns[f"{levels[0]:g}"]}
        for measure, table in found.items():
            if measure != "return":
                means = {name: f"{row[levels[0]].mean:{form}}" for name, row in table.items()}
                columns |= {measure.replace("_", " "): means} if means else {}
    rows = {name: [column.get(name, "") for column in columns.values()] for name in returns}
    minus = "" if against is None else f" minus {against}"
    print_rows(title + minus, ("method", *columns), rows)
    print(_how(returns, paired=against is not None).capitalize() + ".")


def _tables(results: Sequence[Result], against: str | None) -> Iterator[_Table]:
    """Yield the tables of each world, each followed by that of its differences."""
    worlds = sorted({result.world for result in results})
    choices = itertools.product(worlds, CHECKPOINTS.items(), MEASURES)
    for world, (checkpoint, title), measure in choices:
        runs = [result for result in results if result.world == world]
        lowest = measure in LOWER_IS_BETTER
        rows = tabulate(runs, measure, checkpoint)
        yield _Table(world, title, measure, rows, lowest=lowest)
        if against is not None:
            rows = differences(runs, measure, checkpoint, against)
            name = f"{measure} minus that of {against}, paired by seed"
            yield _Table(world, title, name, rows, paired=True, lowest=lowest)


def _section(table: _Table, *, with_world: bool) -> str:
    """Write a table with its heading."""
    world = f"{table.world}: " if with_world else ""
    form = "+.3f" if table.paired else ".3f"  # of a difference the sign is the point
    return (
        f"## {world}{table.measure}, {table.checkpoint} checkpoint\n\n"
        f"{_how(table.rows, paired=table.paired).capitalize()}; the best mean is bold.\n\n"
        f"{markdown(table.rows, form, lowest=table.lowest)}\n"
    )


def _how(table: Mapping[str, Mapping[Any, Summary]], *, paired: bool = False) -> str:
    """Say what the cells of a table are."""
    counts = (cell.n for row in table.values() for cell in row.values())
    return over_seeds(INTERVAL, counts, "pair" if paired else "seed")


def _csv_rows(table: _Table) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of a table, a row each, as `COLUMNS` has them."""
    for method, row in table.rows.items():
        for oversight, summary in row.items():
            yield (table.world, table.checkpoint, table.measure, method, oversight, *summary)


def _world_by_world(results: Sequence[Result]) -> str:
    """Write a table of worlds and methods for each level of oversight."""
    text = ""
    levels = sorted({result.oversight for result in results})
    choices = itertools.product(CHECKPOINTS.items(), MEASURES, levels)
    for (checkpoint, title), measure, level in choices:
        table = by_world(results, measure, checkpoint, level)
        if any(table.values()):
            lowest = measure in LOWER_IS_BETTER
            rows = markdown(table, corner="world", best_of="row", lowest=lowest)
            text += (
                f"## World by world: {measure}, {title} checkpoint, {level:g} oversight\n\n"
                f"{_how(table).capitalize()}; the best mean of each world is bold.\n\n"
                f"{rows}\n"
            )
    return text


def _title(column: object) -> str:
    """Write the name of a column."""
    return f"{column:g}" if isinstance(column, float) else str(column)
