"""What `train` and `evaluate` print at the end."""

from __future__ import annotations

from collections.abc import Mapping

from routed_rl.agent import Agent
from routed_rl.evaluation import Evaluator, Report
from routed_rl.report import show
from routed_rl.run import Run


def show_result(
    run: Run,
    agent: Agent,
    evaluator: Evaluator,
    reports: Mapping[str, Report],
    *,
    oversight: float | None = None,
    greedy: bool = False,
) -> None:
    """Print the table of a run's policies, evaluated at another oversight than trained at if given."""
    trained = run.settings.env.oversight
    title = f"{run.choice.agent} in {run.choice.env} at oversight {trained:g}, seed {run.settings.seed}"
    title += "" if oversight is None else f", evaluated at {oversight:g}"
    title += " (sees everything)" if agent.sees_everything else ""
    show(reports, evaluator.references(), deployed=agent.deployed, title=title, greedy=greedy)
    print(agent.remark)
