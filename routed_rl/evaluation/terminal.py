"""What a person reads on the terminal at the end: a table of what each policy really does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich import table as rich
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
WIDTH = 120
"""Characters, where there is no terminal."""


class Table(NamedTuple):
    """What stands around the numbers."""

    title: str
    deployed: str  # the policy to deploy; its row is marked
    greedy: bool = False  # whether the likeliest actions were taken, and not sampled ones


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
    table = rich.Table(
        title=about.title, title_style="bold", title_justify="left", caption_justify="left"
    )
    table.add_column("policy", no_wrap=True)
    outcomes = [name if name != "none" else "nothing" for name in first.outcomes]
    for title in (*(MEASURES[name] for name in shown), *outcomes, "steps"):
        table.add_column(title, justify="right")
    for name, report in reports.items():
        marked = name == about.deployed
        cells = _cells(report, shown)
        table.add_row(name + " *" * marked, *cells, style="bold" if marked else "")
    console = _print(table)
    how = "exact" if first.exact else f"{first.episodes} episodes, ± is a standard error"
    actions = "the likeliest" if about.greedy else "sampled"
    note = f"* deployed. Returns are of whole episodes with {actions} actions, {how}."
    if "score" in shown:
        note += " Score: paid in all, undiscounted."
    console.print(note, highlight=False)
    if any(_repeated(report) for report in reports.values()):
        note = "Outcomes: share of episodes with at least one, and how often in an episode."
        console.print(note, highlight=False)
    if references:
        text = ", ".join(f"{name} {value:.3f}" for name, value in references.items())
        console.print(f"To compare with: {text}.", highlight=False)


def _cells(report: Report, shown: Sequence[str]) -> list[str]:
    """Write a row: measures, shares of episodes with each outcome, steps."""
    cells = [f"{getattr(report, name):.3f}" for name in shown]
    if report.standard_error is not None:
        cells[0] += f" ±{report.standard_error:.3f}"
    counts = report.outcomes_per_episode or {}
    for name, share in report.outcomes.items():
        often = f" ({counts[name]:.2f})" if name in counts and _repeated(report) else ""
        cells.append(f"{max(share, 0.0):.1%}{often}")
    return [*cells, f"{report.mean_length:.1f}"]


def _repeated(report: Report) -> bool:
    """Say whether an outcome happens more than once in some episode."""
    counts = report.outcomes_per_episode or {}
    return any(count > report.outcomes[name] + 1e-6 for name, count in counts.items())


def print_rows(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Print a plain table: the first column holds the names of the rows."""
    table = rich.Table(title=title, title_style="bold", title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    _print(table)


def _print(table: rich.Table) -> Console:
    """Print a table."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
    return console
