"""How cost grows with the size of the grid, the number of experts, their width and the number of environments.

    python benchmarks/scaling.py            writes docs/pictures/scaling.png and prints what it shows

Each point is the median time of collecting and updating, per environment step; all else is the default.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from routed_rl import assembly, labels  # noqa: E402
from routed_rl.rollout import Frames, collect  # noqa: E402

OUTCOMES = [f"end{number}" for number in range(16)]
SWEEPS: dict[str, dict[int, list[str]]] = {
    "rows and columns": {n: ["--env.rows", str(n), "--env.columns", str(n)] for n in (5, 7, 9, 11, 13, 15)},
    "experts": {n: ["--env.rows", "7", "--env.columns", "7", "--env.outcomes", *OUTCOMES[:n]] for n in (2, 4, 8, 16)},
    "width": {n: ["--agent.hidden", str(n), str(n)] for n in (64, 128, 256, 512, 1024)},
    "environments": {n: ["--num-envs", str(n), "--agent.minibatch", str(8 * n)] for n in (64, 256, 1024, 4096, 16384)},
}


def microseconds(flags: Sequence[str], *, updates: int = 5) -> tuple[float, float]:
    """Time collecting and updating, per environment step, after a warm-up."""
    run = assembly.build([*flags, "--agent.rollout-steps", "32"])
    env = run.make_env(run.settings.num_envs, seed=0)
    agent, obs = run.make_agent(env), env.reset()
    frames = Frames.like(obs, 32)
    times = []
    for _ in range(1 + updates):
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, 32, frames)
        collected = time.perf_counter()
        agent.update(labels.hide(rollout, env.spec.outcome_rewards))
        times.append((collected - began, time.perf_counter() - collected))
        obs = rollout.last_obs
    scale = 1e6 / (32 * env.num_envs)
    collecting, updating = (scale * statistics.median(column[1:]) for column in zip(*times, strict=True))
    return collecting, updating


def main() -> None:
    """Measure and draw."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    figure.suptitle("Microseconds per environment step, collecting and updating", x=0.01, ha="left", fontweight="bold")
    all_axes = figure.subplots(1, len(SWEEPS), sharey=True)
    for axes, (title, points) in zip(all_axes, SWEEPS.items(), strict=True):
        x = np.array(list(points))
        y = np.array([microseconds(flags) for flags in points.values()])
        growth = np.polyfit(np.log(x), np.log(y.sum(axis=1)), 1)[0]
        print(f"{title:<18}" + "  ".join(f"{n}: {c + u:.1f}" for n, (c, u) in zip(x, y, strict=True)) + " us a step")
        for column, (name, colour) in enumerate((("collect", "#0072b2"), ("update", "#d55e00"))):
            axes.plot(x, y[:, column], marker="o", color=colour, label=name)
        axes.set_title(f"cost ~ {title} ^ {growth:.1f}", fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel(title)
        axes.set_xticks(x, [str(n) for n in x])
        axes.minorticks_off()
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].legend(frameon=False)
    path = ROOT / "docs" / "pictures" / "scaling.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"{torch.get_num_threads()} threads. Drawn in {path.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
