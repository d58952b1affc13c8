"""Draw the substitution world, clean and hackable: writes substitution.png beside this file.

python docs/pictures/substitution.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from routed_rl.envs import substitution

WORDS = {
    "clean": "a clean episode:\nthe diamond pays 0.7 and is worth 1",
    "hackable": "a hackable one: ghost and glitch\npay 1 and 0.95, and are worth -1",
}


def main() -> None:
    """Draw each kind of episode in a frame of its own."""
    env = substitution.make(substitution.Config(), 1, seed=0, device=torch.device("cpu"))
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    for ax, scene in zip(figure.subplots(1, 2).flat, env.scenes(), strict=True):
        ax.imshow(scene.background)
        ax.set_title(WORDS[scene.title], fontsize=10)
        ax.axis("off")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
