"""Draw the idea of gradient routing: `python docs/pictures/routing.py` writes routing.png beside this file."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"
CENTRES = {"samples": (0.5, 2), "half A": (3, 3), "half B": (3, 1), "loss": (5.5, 2)}
EDGES = (("samples", "half A"), ("samples", "half B"), ("half A", "loss"), ("half B", "loss"))


def box(ax: Axes, name: str, colour: str) -> None:
    """Draw a part of the network."""
    x, y = CENTRES[name]
    ax.add_patch(FancyBboxPatch((x - 0.55, y - 0.35), 1.1, 0.7, boxstyle="round,pad=0.05", fc="white", ec=colour, lw=2))
    ax.text(x, y, name, ha="center", va="center", color=colour)


def arrow(ax: Axes, start: str, end: str, colour: str, shift: float, stopped: bool = False) -> None:
    """Draw what passes from one part to another, or a cross where it is stopped."""
    (x0, y0), (x1, y1) = CENTRES[start], CENTRES[end]
    side = 0.7 if x1 > x0 else -0.7
    head = {
        "arrowstyle": "-|>",
        "color": colour,
        "lw": 1.8,
        "ls": ":" if stopped else "-",
        "alpha": 0.5 if stopped else 1,
    }
    tail = (x0 + side, y0 + shift + 0.1 * (y1 - y0))
    tip = (x1 - side, y1 + shift - 0.1 * (y1 - y0))
    ax.annotate("", tip, tail, arrowprops=head)
    if stopped:
        ax.text((tail[0] + tip[0]) / 2, (tail[1] + tip[1]) / 2, "x", color=colour, ha="center", va="center", size=15)


def main() -> None:
    """Draw the forward pass and the backward pass of a mixed batch."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    for ax, title in zip(
        figure.subplots(1, 2),
        ("forward: every sample uses everything", "backward: each trains only its part"),
        strict=True,
    ):
        forward = title.startswith("forward")
        ax.set(xlim=(-0.2, 6.3), ylim=(0.4, 3.7), aspect="equal")
        ax.axis("off")
        ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
        for name, colour in zip(CENTRES, (GREY, BLUE, ORANGE, GREY), strict=True):
            box(ax, name, colour)
        for start, end in EDGES:
            for colour, own, shift in ((BLUE, "half A", 0.12), (ORANGE, "half B", -0.12)):
                if forward:
                    arrow(ax, start, end, colour, shift)
                elif end == "loss":
                    arrow(ax, end, start, colour, shift, stopped=start != own)
                elif end == own:
                    arrow(ax, end, start, colour, shift)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    main()
