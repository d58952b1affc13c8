"""What `train` and `evaluate` print at the end."""

from __future__ import annotations

from collections.abc import Mapping

from routed_rl.evaluation.report import Report
from routed_rl.evaluation.terminal import Table, print_reports
from routed_rl.training.run import Run


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
    config = run.setup.config
    names = config.names
    title = f"{names.agent} in {names.env_title} at oversight {config.env.oversight:g}, "
    title += f"seed {config.settings.seed}"
    title += "" if oversight is None else f", evaluated at {oversight:g}"
    title += " (sees everything)" if run.agent.sees_everything else ""
    print_reports(reports, references, Table(title, run.agent.deployed, greedy))
    print(run.agent.remark)
