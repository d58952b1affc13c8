"""What `train` and `evaluate` print at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from routed_rl.evaluation.profiles import ProfileReport
from routed_rl.evaluation.relearning import Curve, updates_until
from routed_rl.evaluation.report import Report
from routed_rl.evaluation.terminal import Table, print_reports, print_rows, say
from routed_rl.training import checkpoints
from routed_rl.training.checkpoint_selector import CHOICES
from routed_rl.training.run import Run
from routed_rl.training.run_folder import RunResult


def print_run(
    run: Run,
    reports: Mapping[str, Report],
    references: Mapping[str, float],
    *,
    oversight: float | None = None,
    greedy: bool = False,
    elsewhere: str = "--json",
) -> None:
    """Print the table of a run's policies.

    Args:
        run: whose.
        reports: of each policy.
        references: returns of scripted policies, to compare with.
        oversight: that was evaluated at, if another than was trained at.
        greedy: whether the likeliest actions were taken.
        elsewhere: what else shows the columns that are left out.
    """
    title = title_of(run, oversight)
    print_reports(reports, references, Table(title, run.agent.deployed, greedy, elsewhere))
    say(run.agent.remark)


def title_of(run: Run, oversight: float | None = None) -> str:
    """Say what a table is of; `oversight` is what was evaluated at, if another than trained at."""
    title = run.setup.config.title
    title += "" if oversight is None else f", evaluated at {oversight:g}"
    if (run.folder / "checkpoints" / checkpoints.LAST) != run.checkpoint:
        title += f", {checkpoint_of(run)}"
    return title + (" (sees everything)" if run.agent.sees_everything else "")


def checkpoint_of(run: Run) -> str:
    """Say which checkpoint the policies are taken from."""
    if run.checkpoint.parent != run.folder / "checkpoints":
        return f"checkpoint {run.checkpoint}"
    name = run.checkpoint.stem
    return CHOICES.get(name, f"{name} checkpoint")


def print_profiles(run: Run, table: Mapping[str, ProfileReport]) -> None:
    """Print what each profile's policy does."""
    rows = {}
    for name, found in table.items():
        numbers = (found.report.true_return, found.allowed, found.forbidden)
        rows[name] = [f"{number:.3f}" for number in (*numbers, found.report.mean_length)]
    columns = ("profile", "return", "allowed", "forbidden", "steps")
    title = f"{title_of(run)}: allowed outcomes are worth 1, all others -1"
    print_rows(title, columns, rows, elsewhere="--json")
    mean = sum(found.report.true_return for found in table.values()) / len(table)
    say(f"Mean return over the {len(table)} profiles: {mean:.3f}.")
    if len(run.policies()) == 1:
        say("This agent has one network: the same policy in every row.")


def print_relearning(run: Run, outcome: str, curves: Mapping[str, Curve]) -> None:
    """Print how soon each pupil reached an outcome that it was taught."""
    rows = {
        f"{called}, {measure}": [f"{found[measure]:.3f}" for found in curve.values()]
        for measure in ("reached", "return")
        for called, curve in curves.items()
    }
    first, *looks = (str(update) for update in next(iter(curves.values())))
    print_rows(
        f"{title_of(run)}: taught to reach {outcome}, after so many updates",
        ("policy", first, *looks),
        rows,
        # The first look and the last say most, and every other one of those between.
        spare=(*looks[0:-1:2], *looks[1:-1:2]),
        elsewhere="--json",
    )
    for called, curve in curves.items():
        half = updates_until(curve)
        when = "in fewer than half of the episodes"
        if half is not None:
            when = f"in half of them after {half:.0f} updates"
        say(f"{called}: {outcome} {when}.")


def print_what_is_missing(result: RunResult) -> None:
    """Say so where a run had nothing to learn some of its experts from."""
    for line in _missing(result):
        say(f"warning: {line}", file=sys.stderr)


def _missing(result: RunResult) -> Iterator[str]:
    """Yield what a run lacked: outcomes to tell apart, or else labels of some of them."""
    happened = result.get("happened", {})
    met = [name for name, count in happened.items() if count]
    if len(met) < 2 and len(met) < len(happened):
        found = f"only {met[0]!r} happened" if met else "no outcome happened"
        yield (
            f"in training {found}, of {', '.join(happened)}: there was nothing to tell apart. "
            "Let the environment name others, or let it be explored for longer."
        )
        return
    labelled = result.get("labelled", {})
    # Elsewhere no expert waits for them: of one network, or of what a detector flags.
    total = sum(labelled.values())
    if not labelled or not labelled.keys() <= result["policies"].keys():
        return
    if total < result["labelled_episodes"]:  # a run of before they were counted by kind
        return
    remedy = "Oversee more, or train for longer."
    if not total:
        yield f"there was no label: the experts had none to learn from. {remedy}"
        return
    for name, count in labelled.items():
        if not count:
            yield (
                f"0 of {total:,} labels were {name}: the {name} expert had none to learn from. "
                f"{remedy}"
            )
