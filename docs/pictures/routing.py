"""Draw the idea of gradient routing: writes routing.png beside this file.

python docs/pictures/routing.py
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE = "#0072b2"
ORANGE = "#d55e00"
GREY = "#555555"
CENTRES = {"samples": (0.5, 2), "half A": (3, 3), "half B": (3, 1), "loss": (5.5, 2)}
COLOURS = {"samples": GREY, "half A": BLUE, "half B": ORANGE, "loss": GREY}
EDGES = (("samples", "half A"), ("samples", "half B"), ("half A", "loss"), ("half B", "loss"))
SAMPLES = ((BLUE, "half A", 0.12), (ORANGE, "half B", -0.12))
"""Colour of each kind of sample, the half that it trains, and how far its arrows are shifted."""


def box(ax: Axes, name: str) -> None:
    """Draw a part of the network."""
    x, y = CENTRES[name]
    colour = COLOURS[name]
    corner = (x - 0.55, y - 0.35)
    style = {"boxstyle": "round,pad=0.05", "fc": "white", "ec": colour, "lw": 2}
    ax.add_patch(FancyBboxPatch(corner, 1.1, 0.7, **style))
    ax.text(x, y, name, ha="center", va="center", color=colour)


def arrow(ax: Axes, start: str, end: str, colour: str, shift: float) -> None:
    """Draw what passes from one part to another."""
    tail, tip = ends(start, end, shift)
    ax.annotate("", tip, tail, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})


def stopped(ax: Axes, start: str, end: str, colour: str, shift: float) -> None:
    """Draw what does not pass: a faint arrow with a cross."""
    tail, tip = ends(start, end, shift)
    head = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "ls": ":", "alpha": 0.5}
    ax.annotate("", tip, tail, arrowprops=head)
    middle = ((tail[0] + tip[0]) / 2, (tail[1] + tip[1]) / 2)
    ax.text(*middle, "x", color=colour, ha="center", va="center", size=15)


def ends(start: str, end: str, shift: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where an arrow between two parts begins and ends, clear of their boxes."""
    x0, y0 = CENTRES[start]
    x1, y1 = CENTRES[end]
    side = 0.7 if x1 > x0 else -0.7
    slope = 0.1 * (y1 - y0)
    return (x0 + side, y0 + shift + slope), (x1 - side, y1 + shift - slope)


def network(ax: Axes, title: str) -> None:
    """Draw the boxes."""
    ax.set(xlim=(-0.2, 6.3), ylim=(0.4, 3.7), aspect="equal")
    ax.axis("off")
    ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
    for name in CENTRES:
        box(ax, name)


def main() -> None:
    """Draw the forward pass and the backward pass of a mixed batch."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    forward, backward = figure.subplots(1, 2)
    network(forward, "forward: every sample uses everything")
    network(backward, "backward: each trains only its part")
    for start, end in EDGES:
        for colour, own, shift in SAMPLES:
            arrow(forward, start, end, colour, shift)
            if end == own or start == own:
                arrow(backward, end, start, colour, shift)
            elif end == "loss":  # its gradient stops here, so nothing is drawn behind
                stopped(backward, end, start, colour, shift)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    main()
