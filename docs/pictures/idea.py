"""Draw the words of docs/idea.md: writes labels.svg and deployment.svg beside this file.

python docs/pictures/idea.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

BLUE = "#1f86cc"
ORANGE = "#e0661a"
GREY = "#808080"
"""These can be read on white and on black: the pictures have no ground of their own."""
EPISODES = (
    (5, BLUE, "diamond", "yes", "diamond", "the diamond expert"),
    (4, ORANGE, "ghost", "yes", "ghost", "the ghost expert"),
    (6, GREY, "ghost", "no", "unknown", "both experts and the gate"),
    (3, GREY, "diamond", "no", "unknown", "both experts and the gate"),
)
"""Steps, colour, what happened, whether it was overseen, its label, and what it trains."""
COLUMNS = ((0, "steps"), (4.1, "outcome"), (6.1, "overseen"), (8.1, "label"), (10.1, "trains"))


def canvas(width: float, height: float, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Make an empty picture without a ground."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    ax = figure.subplots()
    ax.set(xlim=(-0.1, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return figure, ax


def word(ax: Axes, x: float, y: float, text: str, colour: str = GREY, **style: object) -> None:
    """Write a word."""
    ax.text(x, y, text, color=colour, va="center", **({"size": 12} | style))


def labels() -> Figure:
    """Draw four episodes, what is seen of each, and what it trains."""
    figure, ax = canvas(14.4, 4.2, (10, 3))
    for x, name in COLUMNS:
        word(ax, x, 3.9, name, weight="bold")
    for row, (steps, colour, *words) in enumerate(EPISODES):
        y = 3.1 - 0.85 * row
        for step in range(steps):
            last = step == steps - 1
            face = colour if last else "none"
            ax.add_patch(Rectangle((0.6 * step, y - 0.22), 0.44, 0.44, fc=face, ec=colour, lw=1.6))
        for (x, _), text in zip(COLUMNS[1:], words, strict=True):
            word(ax, x, y, text, colour)
    return figure


def box(ax: Axes, x: float, y: float, text: str, colour: str, *, gone: bool = False) -> None:
    """Draw a part of the network around (x, y), or the place where it was."""
    style = {"boxstyle": "round,pad=0.05", "fc": "none", "ec": colour, "lw": 2}
    faint = {"alpha": 0.45} if gone else {}
    ax.add_patch(
        FancyBboxPatch((x - 1.15, y - 0.3), 2.3, 0.6, ls=":" if gone else "-", **style, **faint)
    )
    word(ax, x, y, text, colour, ha="center", size=11, **faint)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw what passes from one part to another."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})


def policy(ax: Axes, left: float, title: str, *, deployed: bool) -> None:
    """Draw a policy whose experts are in the middle, from observation to action."""
    word(ax, left, 4.3, title, weight="bold")
    box(ax, left + 1.15, 2, "observation", GREY)
    box(ax, left + 6.75, 2, "action", GREY)
    parts = (("diamond expert", BLUE, 3.2), ("gate", GREY, 2), ("ghost expert", ORANGE, 0.8))
    for name, colour, y in parts:
        gone = deployed and name != "diamond expert"
        box(ax, left + 3.95, y, name, colour, gone=gone)
        if not gone:
            tilt = 0.12 * (y - 2)
            arrow(ax, (left + 2.35, 2 + tilt), (left + 2.75, y - tilt), colour)
            arrow(ax, (left + 5.15, y - tilt), (left + 5.55, 2 + tilt), colour)


def deployment() -> Figure:
    """Draw the mixture that is trained, and what of it is deployed."""
    figure, ax = canvas(17, 4.6, (10, 3))
    policy(ax, 0, "training: the gate mixes the experts", deployed=False)
    policy(ax, 9, "deployment: the unwanted expert is ablated", deployed=True)
    return figure


def main() -> None:
    """Write both."""
    here = Path(__file__).resolve().parent
    with mpl.rc_context({"svg.hashsalt": "routed_rl"}):
        for draw in (labels, deployment):
            draw().savefig(here / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
