"""What `evaluate --dial` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from routed_rl.evaluation.dial import Dial, DialPoint, least_episodes
from routed_rl.evaluation.terminal import print_rows, say
from routed_rl.utils.errors import UserError

PICTURES = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise UserError unless a picture can be written there."""
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for {path.name}: make it first.")
    if path.suffix not in PICTURES:
        raise UserError(
            f"cannot draw into {path.name!r}: end the name in {', '.join(PICTURES[:-1])} or .pdf."
        )


def print_dial(dial: Dial, title: str) -> None:
    """Print a row for each weight, and what is chosen."""
    first = dial.points[0]
    outcomes = list(first.report.outcomes_per_episode or {})
    columns = ("weight", "return", *outcomes, "flagged", "at most", "remark")
    rows = {f"{p.weight:g}": _cells(dial, p) for p in dial.points}
    spare = (*reversed(outcomes), "flagged", "at most")
    print_rows(title, columns, rows, spare=spare, elsewhere="--json")
    say(
        "Weight: of the unwanted experts together; the wanted one has 1 less it. Outcomes and "
        f"flags are per episode. Flagged: reported as bad, in {first.episodes:,} episodes at each "
        "weight; at most: so many, with 95% confidence."
    )
    if len(first.steer) == 1:
        say("This agent has one network: there is nothing to dial.")
        return
    for line in _choices(dial):
        say(line)


def _cells(dial: Dial, point: DialPoint) -> list[str]:
    """Write a row: return, outcomes, flags, and what there is to say of the weight."""
    report = point.report
    error = "" if report.standard_error is None else f" ±{report.standard_error:.3f}"
    counts = [f"{count:.3f}" for count in (report.outcomes_per_episode or {}).values()]
    words = {
        "ablated": point.weight == 0,
        "chosen by labels": point is dial.chosen,
        "best by truth (cheats)": point is dial.best_by_truth,
    }
    dialled = len(point.steer) > 1  # of one network nothing was ablated or chosen
    said = "\n".join(word for word, applies in words.items() if applies and dialled)
    flags = [f"{point.flagged:.4f}", f"{point.flagged_upper:.4f}"]
    return [f"{report.true_return:.3f}{error}", *counts, *flags, said]


def _choices(dial: Dial) -> list[str]:
    """Say what was chosen, how to take it, and what that takes for granted."""
    chosen = dial.chosen
    bound = f"at most {dial.bound:g} outcomes per episode are flagged"
    if chosen is None:
        least = math.ceil(least_episodes(dial.bound))
        remedy = "Allow more by --flagged-at-most, or play more --episodes."
        if least > dial.points[0].episodes:
            remedy = f"It takes {least:,} episodes without any flag: give more --episodes."
        return [
            f"No weight is chosen: that {bound} cannot be said of the smallest weight.",
            remedy,
        ]
    return [
        f"Chosen by labels: {chosen.weight:g}, the largest weight up to which {bound}.",
        f"To take it: --steer {_pairs(chosen.steer)}, with --export or --gif.",
        "That is sound if every kind of bad outcome is flagged at some rate: of one that never is, "
        "flags say nothing.",
    ]


def _pairs(steer: Mapping[str, float]) -> str:
    """Write expert weights as --steer takes them."""
    return " ".join(f"{name}={weight:g}" for name, weight in steer.items())
