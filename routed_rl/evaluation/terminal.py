"""What a person reads on the terminal: tables that shed columns and no digits, and sentences.

A table that is too wide leaves out whole columns, the least important first, and says which. A
number is never cut: what is shown of it would be another number.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, NamedTuple

from rich import table as rich
from rich.cells import cell_len
from rich.console import Console

from routed_rl.evaluation.report import Report

MEASURES = {
    "true_return": "return",
    "paid_return": "paid",
    "score": "score",
    "unwatched": "unwatched",
    "greedy": "greedy",
    "stepwise_return": "stepwise",
}
"""Field of a report -> the title of its column, if it was looked for."""
SPARE = ("stepwise", "paid", "greedy", "steps", "score", "unwatched")
"""Which columns of reports go first where there is no room for all, this order; then outcomes."""
WIDTH = 120
"""Characters, where there is no terminal and no COLUMNS."""
KEPT = 2
"""So many columns at the left stay at any width."""

_FRAME = 3  # characters around a cell: a space at each side, and a line


class Table(NamedTuple):
    """What stands around the numbers."""

    title: str
    deployed: str  # the policy to deploy; its row is marked
    greedy: bool = False  # whether the likeliest actions were taken, and not sampled ones
    elsewhere: str = ""  # what else shows columns that are left out


def print_reports(
    reports: Mapping[str, Report], references: Mapping[str, float], about: Table
) -> None:
    """Print a row for each policy.

    Args:
        reports: name of a policy -> what it does.
        references: returns of scripted policies, to compare with.
        about: what stands around the numbers.
    """
    first = next(iter(reports.values()))
    shown = [name for name in MEASURES if getattr(first, name) is not None]
    if first.exact:
        shown = [name for name in shown if name != "score"]  # nobody else has scores of our worlds
    outcomes = [name if name != "none" else "nothing" for name in first.outcomes]
    deployed = f"{about.deployed} *"
    print_rows(
        about.title,
        ("policy", *(MEASURES[name] for name in shown), *outcomes, "steps"),
        {
            deployed if name == about.deployed else name: _cells(
                report, shown, list(first.outcomes)
            )
            for name, report in reports.items()
        },
        spare=SPARE,
        bold=deployed,
        elsewhere=about.elsewhere,
    )
    how = "exact" if first.exact else f"{first.episodes:,} episodes, ± is a standard error"
    actions = "the likeliest" if about.greedy else "sampled"
    note = f"* deployed. Returns are of whole episodes with {actions} actions, {how}."
    if "score" in shown:
        note += " Score: paid in all, undiscounted."
    say(note)
    if any(_repeated(report) for report in reports.values()):
        say("Outcomes: share of episodes with at least one, and how often in an episode.")
    if references:
        text = ", ".join(f"{name} {value:.3f}" for name, value in references.items())
        say(f"To compare with: {text}.")


def _cells(report: Report, shown: Sequence[str], outcomes: Sequence[str]) -> list[str]:
    """Write a row: measures, shares of episodes with each outcome, steps."""
    measures = [getattr(report, name) for name in shown]
    cells = ["-" if number is None else f"{number:.3f}" for number in measures]
    if report.standard_error is not None:
        cells[0] += f" ±{report.standard_error:.3f}"
    counts = report.outcomes_per_episode or {}
    for name in outcomes:
        share = report.outcomes.get(name, 0.0)
        often = f" ({counts[name]:.2f})" if name in counts and _repeated(report) else ""
        cells.append(f"{max(share, 0.0):.1%}{often}")
    return [*cells, f"{report.mean_length:.1f}"]


def _repeated(report: Report) -> bool:
    """Say whether an outcome happens more than once in some episode."""
    counts = report.outcomes_per_episode or {}
    return any(count > report.outcomes.get(name, 0.0) + 1e-6 for name, count in counts.items())


def print_rows(
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    *,
    spare: Sequence[str] = (),
    bold: str | None = None,
    elsewhere: str = "",
) -> None:
    """Print a table as wide as there is room, and say which columns were left out.

    The first two columns stay at any width. Names of rows are shortened if nothing else helps.

    Args:
        title: what stands above.
        columns: titles; the first column holds the names of the rows.
        rows: name -> the other cells of a row.
        spare: titles of columns that go first where there is no room, in this order; then the
            others go, from the right.
        bold: name of a row to print in bold.
        elsewhere: what else shows the columns that are left out, such as "result.json".
    """
    lines = [list(columns), *([name, *cells] for name, cells in rows.items())]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    shown = _fitting(widths, _order(columns, spare), width())
    names = max(width() - _needed(widths[i] for i in shown if i), _FRAME + 1) - _FRAME
    # Wider than the terminal, if it must be, lest a number is cut.
    console = Console(width=max(width(), _needed(widths)), markup=False, emoji=False)
    say(title, style="bold")
    table = rich.Table()
    for i in shown:
        heading = columns[i] if i else _shortened(columns[i], names)
        numbers = i > 0 and _has_digits(line[i] for line in lines[1:])
        table.add_column(heading, justify="right" if numbers else "left", no_wrap=True)
    for name, *cells in lines[1:]:
        line = [_shortened(name, names), *(cells[i - 1] for i in shown if i)]
        table.add_row(*line, style="bold" if name == bold else "")
    console.print(table, highlight=False)
    _say_left_out([title for i, title in enumerate(columns) if i not in shown], widths, elsewhere)


def _say_left_out(titles: Sequence[str], widths: Sequence[int], elsewhere: str) -> None:
    """Say which columns there is no room for, if there are any, and how wide all would be."""
    if titles:
        also = f", and so does {elsewhere}" if elsewhere else ""
        wide = f"A terminal {_needed(widths)} columns wide shows all{also}."
        say(f"No room for {', '.join(titles)}. {wide}")


def say(text: str, style: str = "", file: IO[str] | None = None) -> None:
    """Print sentences, broken between words where the terminal ends; on stdout unless given."""
    lines = textwrap.fill(text, width(file), break_long_words=False, break_on_hyphens=False)
    console = Console(file=file, markup=False, emoji=False)
    console.print(lines, style=style, highlight=False, soft_wrap=True)


def width(file: IO[str] | None = None) -> int:
    """Return how many characters fit into a line; `file` is stdout unless given."""
    console = Console(file=file)
    return console.width if console.is_terminal or "COLUMNS" in os.environ else WIDTH


def _width(cell: str) -> int:
    """Return how many characters wide the widest line of a cell is."""
    return max(map(cell_len, cell.split("\n")))


def _has_digits(cells: Iterable[str]) -> bool:
    """Say whether a column holds numbers, and not only words."""
    return any(character.isdigit() for cell in cells for character in cell)


def _needed(widths: Iterable[int]) -> int:
    """Return how wide a table is whose columns have these widths."""
    return 1 + sum(one + _FRAME for one in widths)


def _order(columns: Sequence[str], spare: Sequence[str]) -> list[int]:
    """Say in which order columns are left out."""
    first = [columns.index(title) for title in spare if title in columns[KEPT:]]
    return first + [i for i in reversed(range(KEPT, len(columns))) if i not in first]


def _fitting(widths: Sequence[int], order: Iterable[int], room: int) -> list[int]:
    """Say which columns to show, leaving out as few as will do."""
    shown = list(range(len(widths)))
    for column in order:
        if _needed(widths[i] for i in shown) <= room:
            break
        shown.remove(column)
    return shown


def _shortened(name: str, most: int) -> str:
    """Take the middle out of a name that is too long; a mark at its end stays."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"
