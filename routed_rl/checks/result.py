"""One point of a contract, and how somebody's code does on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from routed_rl.utils.errors import one_line

Probe = TypeVar("Probe")
Points = Mapping[str, Callable[[Probe], Iterator[str]]]
"""Each point's name, and what yields its faults; that one's docstring is the remedy."""


@dataclass(frozen=True)
class CheckResult:
    """One point of a contract, and how somebody's code does on it."""

    name: str
    fault: str  # what was found; empty if the point is kept
    remedy: str

    @property
    def passed(self) -> bool:
        """Whether the contract is kept on this point."""
        return not self.fault


def examine(probe: Probe, points: Points[Probe]) -> list[CheckResult]:
    """Go through the points of a contract in order.

    If the first fails there is no second: nothing could be made.
    """
    results = []
    for name, find in points.items():
        try:
            fault = next(iter(find(probe)), "")
        except (Exception, SystemExit) as error:  # whatever somebody else's code does
            fault = one_line(error)
        results.append(CheckResult(name, fault, find.__doc__ or ""))
        if results[0].fault:
            break
    return results
