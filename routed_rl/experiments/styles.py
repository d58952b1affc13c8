"""Colours and line styles by which methods are told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from routed_rl.experiments.results import Result

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#555555", "#8a6d3b", "#7a52c7", "#b22222"),
)
"""Okabe and Ito's, told apart by colour-blind readers, and four more."""
Style = str | tuple[int, tuple[int, ...]]
"""As matplotlib takes it: a name, or an offset and lengths of dashes and gaps."""
STYLES: tuple[Style, ...] = (
    *("-", "--", ":", "-."),
    (0, (8, 2)),
    (0, (1, 4)),
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2, 2, 2)),
)


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str
    """The agent's."""
    style: Style
    """Tells the agent's variants apart."""


Looks = Mapping[str, Look]
"""Method -> how it is drawn."""


def variants(results: Sequence[Result]) -> dict[str, list[str]]:
    """List the methods of each agent, the plain one first."""
    found: dict[str, list[str]] = defaultdict(list)
    for method in sorted({result.method for result in results}):
        found[method.split(",")[0]].append(method)
    return found


def choose_looks(results: Sequence[Result]) -> Looks:
    """Give each agent a colour, and each of its methods a line style."""
    looks: dict[str, Look] = {}
    for i, methods in enumerate(variants(results).values()):
        for j, method in enumerate(methods):
            looks[method] = Look(COLOURS[i % len(COLOURS)], STYLES[j % len(STYLES)])
    return looks
