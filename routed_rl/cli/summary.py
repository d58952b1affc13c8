"""What `train` and `evaluate` print at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from routed_rl.evaluation.report import Report
from routed_rl.evaluation.terminal import Table, print_reports
from routed_rl.training.run import Run
from routed_rl.training.run_folder import RunResult


def print_run(
    run: Run,
    reports: Mapping[str, Report],
    references: Mapping[str, float],
    *,
    oversight: float | None = None,
    greedy: bool = False,
) -> None:
    """Print the table of a run's policies.

    Args:
        run: whose.
        reports: of each policy.
        references: returns of scripted policies, to compare with.
        oversight: that was evaluated at, if another than was trained at.
        greedy: whether the likeliest actions were taken.
    """
    title = title_of(run, oversight)
    print_reports(reports, references, Table(title, run.agent.deployed, greedy))
    print(run.agent.remark)


def title_of(run: Run, oversight: float | None = None) -> str:
    """Say what a table is of; `oversight` is what was evaluated at, if another than trained at."""
    config = run.setup.config
    names = config.names
    title = f"{names.agent} in {names.env_title} at oversight {config.env.oversight:g}, "
    title += f"seed {config.settings.seed}"
    title += "" if oversight is None else f", evaluated at {oversight:g}"
    return title + (" (sees everything)" if run.agent.sees_everything else "")


def print_rare_outcomes(result: RunResult) -> None:
    """Say so where none or only one of several outcomes happened while a run was trained."""
    happened = result.get("happened", {})
    met = [name for name, count in happened.items() if count]
    if len(met) > 1 or len(met) == len(happened):
        return
    found = f"only {met[0]!r} happened" if met else "no outcome happened"
    print(
        f"warning: in training {found}, of {', '.join(happened)}: there was nothing to tell apart. "
        "Let the environment name others, or let it be explored for longer.",
        file=sys.stderr,
    )
