"""How methods are drawn: an agent has one colour and one marker, the same in every figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zlib import crc32

from matplotlib.colors import to_hex, to_rgb

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#555555", "#8a6d3b", "#7a52c7", "#b22222"),
)
"""Okabe and Ito's, told apart by colour-blind readers, and four more."""


class Badge(NamedTuple):
    """What an agent is known by."""

    colour: str
    marker: str


AGENTS = {
    "routed": Badge("#0072b2", "o"),
    "absorbing": Badge("#009e73", "s"),
    "reward_model": Badge("#cc79a7", "D"),
    "filtered": Badge("#e69f00", "^"),
    "naive": Badge("#d55e00", "v"),
    "seen_only": Badge("#56b4e9", "P"),
    "oracle": Badge("#555555", "X"),
}
"""Our own; their colours are of Okabe and Ito, and grey for the one that cheats."""
OTHERS = tuple(
    Badge(colour, marker)
    for colour in ("#332288", "#882255", "#8a6d3b", "#7a52c7", "#808000", "#b22222")
    for marker in ("<", ">", "p", "d", "*")
)
"""For other people's agents: none of the colours above, and none of the markers."""

Style = str | tuple[int, tuple[int, ...]]
"""As matplotlib takes it: a name, or an offset and lengths of dashes and gaps."""
STYLES: tuple[Style, ...] = (
    *("-", "--", ":", "-."),
    (0, (8, 2)),
    (0, (1, 4)),
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2, 2, 2)),
)
FILLS = ("full", "none", "left", "bottom", "right", "top")
"""Which part of a marker has the colour; the rest is white."""


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str
    """The agent's, like the marker."""
    marker: str
    style: Style = STYLES[0]
    """Tells the agent's variants apart, like the fill."""
    fill: str = FILLS[0]

    @property
    def points(self) -> dict[str, Any]:
        """How `Axes.plot` and `Axes.errorbar` take colour and marker."""
        hollow = self.fill == "none"  # matplotlib's own "none" lets lines shine through
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 6,
            "fillstyle": "full" if hollow else self.fill,
            "markerfacecolor": "white" if hollow else self.colour,
            "markerfacecoloralt": "white",
        }

    @property
    def line(self) -> dict[str, Any]:
        """How `Axes.plot` takes a line with markers."""
        return self.points | {"linestyle": self.style}


Looks = Mapping[str, Look]
"""Method -> how it is drawn."""


def agent_of(method: str) -> str:
    """Return the agent of a method: "routed" of "routed, gate off"."""
    return method.split(",")[0]


def badge_of(agent: str) -> Badge:
    """Return an agent's colour and marker.

    They follow from its name alone, so that no other agent changes them. Two of other people's may
    have the same: `choose_looks` tells them apart.
    """
    return AGENTS.get(agent) or OTHERS[crc32(agent.encode()) % len(OTHERS)]


def look_of(agent: str, number: int = 0) -> Look:
    """Return how an agent is drawn, or its variant of a number above 0."""
    style = STYLES[number % len(STYLES)]
    return Look(*badge_of(agent), style, FILLS[number % len(FILLS)])


def variants(methods: Iterable[str]) -> dict[str, list[str]]:
    """List the methods of each agent, the plain one first."""
    found: dict[str, list[str]] = defaultdict(list)
    for method in sorted(set(methods)):
        found[agent_of(method)].append(method)
    return found


def choose_looks(methods: Iterable[str]) -> Looks:
    """Give each agent its colour and marker, and each of its variants a line style and a fill."""
    families: dict[Badge, list[str]] = defaultdict(list)
    for agent, names in variants(methods).items():
        families[badge_of(agent)] += names
    looks: dict[str, Look] = {}
    for names in families.values():
        # The plain method alone has a whole line, also where it is not there to be compared with.
        first = int(names[0] != agent_of(names[0]))
        for number, name in enumerate(names, first):
            looks[name] = look_of(agent_of(name), number)
    return looks


def shades(look: Look, count: int) -> list[Look]:
    """Return a look in as many shades of its colour, from a light one to the colour itself."""
    red, green, blue = to_rgb(look.colour)
    found: list[Look] = []
    for number in range(1, count + 1):
        white = 0.75 * (1 - number / count)
        mixed = (red + (1 - red) * white, green + (1 - green) * white, blue + (1 - blue) * white)
        found.append(look._replace(colour=to_hex(mixed)))
    return found
