"""Draw the four worlds after AI Safety Gridworlds: writes oversight_worlds.png beside this file.

python docs/pictures/oversight_worlds.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from routed_rl import VecEnv
from routed_rl.registry import Registry

UP, DOWN, LEFT, RIGHT = range(4)
WORLDS = {
    "absent_supervisor": (1.0, [DOWN]),
    "boat_race": (0.0, [RIGHT, RIGHT]),
    "tomato_watering": (0.0, [UP]),
    "whisky_gold": (0.0, []),
}
"""How much is overseen, and the moves before the picture."""


def world(name: str, oversight: float) -> VecEnv:
    """Make one world."""
    module = Registry().load("envs", name)
    return module.make(module.Config(oversight=oversight), 1, seed=0, device=torch.device("cpu"))


def main() -> None:
    """Draw each world in a frame of its own."""
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    for ax, (name, (oversight, moves)) in zip(
        figure.subplots(2, 2).flat, WORLDS.items(), strict=True
    ):
        env = world(name, oversight)
        for move in moves:
            env.step(torch.tensor([move]))
        ax.imshow(env.render(0))
        ax.set_title(name.replace("_", " "))
        ax.axis("off")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    main()
