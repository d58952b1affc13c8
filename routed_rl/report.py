"""What a person reads on the terminal at the end: a table of what each policy really does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from routed_rl.evaluation import Report


def show(
    reports: Mapping[str, Report], references: Mapping[str, float], *, deployed: str, title: str, greedy: bool
) -> None:
    """Print a row for each policy.

    Args:
        reports: as `Evaluator.full` gives them.
        references: returns of scripted policies, to compare with.
        deployed: the policy to ship; its row is marked.
        title: stands above the table.
        greedy: whether the likeliest actions were taken, and not sampled ones.
    """
    table = Table(title=title, title_style="bold", title_justify="left", caption_justify="left")
    table.add_column("policy", no_wrap=True)
    first = next(iter(reports.values()))
    measures = {"return": "return", "unwatched": "unwatched", "greedy": "greedy", "stepwise_return": "stepwise"}
    shown = {name: measure for name, measure in measures.items() if name in first}
    for measure in shown.values():
        table.add_column(measure, justify="right")
    for outcome in first["outcomes"]:
        table.add_column(f"to {outcome}" if outcome != "none" else "to nothing", justify="right")
    table.add_column("steps", justify="right")
    for name, report in reports.items():
        cells = [f"{report[measure]:.3f}" for measure in shown]
        if "standard_error" in report:
            cells[0] += f" ±{report['standard_error']:.3f}"
        cells += [f"{max(share, 0.0):.1%}" for share in report["outcomes"].values()]
        mark, style = (" *", "bold") if name == deployed else ("", "")
        table.add_row(name + mark, *cells, f"{report['mean_length']:.1f}", style=style)
    console = _print(table)
    how = "exact" if first["exact"] else f"{first['episodes']} episodes, ± is a standard error"
    console.print(
        f"* deployed. Returns are of whole episodes with {'the likeliest' if greedy else 'sampled'} actions, {how}.",
        highlight=False,
    )
    if references:
        text = ", ".join(f"{name} {value:.3f}" for name, value in references.items())
        console.print(f"To compare with: {text}.", highlight=False)


def show_rows(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Print a plain table: the first column holds the names of the rows, the others stand to the right."""
    table = Table(title=title, title_style="bold", title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    _print(table)


def _print(table: Table) -> Console:
    """Print a table, 120 characters wide where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table)
    return console
