"""How cost grows with the grid, the number of experts, their width and the number of environments.

    python benchmarks/scaling.py        writes docs/pictures/scaling.png and prints what it shows
    python benchmarks/scaling.py --agent oracle --agent.hidden 256 256        prints it, and no more

Each point is the median time of collecting and updating, per environment step. All else is the
default with 256 environments, or what the flags of `train.py` say that are given.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, collect
from routed_rl.training.builder import build
from routed_rl.training.setup import Setup
from routed_rl.utils import machine
from routed_rl.utils.errors import UserError

ROOT = Path(__file__).parents[1]
COLOURS = {"collect": "#0072b2", "update": "#d55e00"}


def points() -> dict[str, dict[int, str]]:
    """List what is measured: title -> number on the axis -> the flags that say it."""
    grid = "--env.rows {0} --env.columns {0}".format
    ends = [f"end{number}" for number in range(16)]
    return {
        "rows and columns": {n: grid(n) for n in (5, 7, 9, 11, 13, 15)},
        "experts": {n: f"{grid(7)} --env.outcomes {' '.join(ends[:n])}" for n in (2, 4, 8, 16)},
        "width": {n: f"--agent.hidden {n} {n}" for n in (64, 128, 256, 512, 1024)},
        "environments": {
            n: f"--num-envs {n} --agent.batch-size {8 * n}" for n in (64, 256, 1024, 4096, 16384)
        },
    }


def setups_of(runs: dict[int, str], flags: Sequence[str]) -> dict[int, Setup]:
    """Build each run from what is shared by all and from its own flags, which win."""
    shared = ("--num-envs", "256", *flags)
    return {n: build([*shared, *own.split()]) for n, own in runs.items()}


def microseconds(run: Setup, *, updates: int = 5) -> tuple[float, float]:
    """Time collecting and updating, per environment step, after a warm-up."""
    env = run.make_env(run.config.settings.num_envs, seed=0)
    agent = run.make_agent(env)
    steps = agent.rollout_steps
    obs = env.reset()
    frames = Frames.like(obs, steps)
    collecting = []
    updating = []
    for _ in range(1 + updates):
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, steps, frames)
        collected = time.perf_counter()
        agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec))
        collecting.append(collected - began)
        updating.append(time.perf_counter() - collected)
        obs = rollout.last_obs
    scale = 1e6 / (steps * env.num_envs)
    return scale * statistics.median(collecting[1:]), scale * statistics.median(updating[1:])


def plot(axes: Axes, title: str, x: NDArray[np.int64], y: NDArray[np.float64]) -> None:
    """Draw times y (n, 2), of collecting and updating, against x (n,)."""
    for column, (name, colour) in enumerate(COLOURS.items()):
        axes.plot(x, y[:, column], marker="o", color=colour, label=name)
    axes.set_title(f"cost ~ {title} ^ {power(x, y):.1f}", fontsize=10)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(title)
    axes.set_xticks(x, [str(n) for n in x])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def power(x: NDArray[np.int64], y: NDArray[np.float64]) -> float:
    """Return the power of x (n,) that the sums of y (n, 2) grow with, fitted to all points."""
    # On logarithmic axes a power of x is a line, whose slope is the power.
    return float(np.polyfit(np.log(x), np.log(y.sum(axis=1)), 1)[0])


def main() -> None:
    """Measure, print, and draw unless there are flags."""
    flags = sys.argv[1:]
    if {"-h", "--help"} & set(flags):
        raise SystemExit(__doc__)
    machine.keep_memory()  # as a run does
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    heading = "Microseconds per environment step, collecting and updating"
    figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
    try:
        setups = {title: setups_of(runs, flags) for title, runs in points().items()}
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    all_axes = figure.subplots(1, len(setups), sharey=True)
    for axes, (title, runs) in zip(all_axes, setups.items(), strict=True):
        x = np.array(list(runs))
        y = np.array([microseconds(run) for run in runs.values()])
        times = [f"{n}: {total:.1f}" for n, total in zip(x, y.sum(axis=1), strict=True)]
        print(f"{title:<18}{'  '.join(times)} us a step; power {power(x, y):.2f}", flush=True)
        plot(axes, title, x, y)
    print(f"{torch.get_num_threads()} threads.")
    if flags:
        return
    all_axes[0].legend(frameon=False)
    path = ROOT / "docs" / "pictures" / "scaling.png"
    figure.savefig(path, dpi=150)
    print(f"Drawn in {path.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
