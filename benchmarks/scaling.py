"""How cost grows with the grid, the number of experts, their width and the number of environments.

    python benchmarks/scaling.py        writes docs/pictures/scaling.png and prints what it shows

Each point is the median time of collecting and updating, per environment step; all else is the
default.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from routed_rl.agents import routed
from routed_rl.envs import gridworld
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, collect
from routed_rl.training.builder import from_configs, run_settings
from routed_rl.training.setup import Setup

ROOT = Path(__file__).parents[1]
STEPS = 32
OUTCOMES = tuple(f"end{number}" for number in range(16))
COLOURS = {"collect": "#0072b2", "update": "#d55e00"}


def setups() -> dict[str, dict[int, Setup]]:
    """List what is measured: title -> number on the axis -> the run."""
    sides = {}
    for n in (5, 7, 9, 11, 13, 15):
        sides[n] = setup(env=gridworld.Config(rows=n, columns=n))
    experts = {}
    for n in (2, 4, 8, 16):
        experts[n] = setup(env=gridworld.Config(rows=7, columns=7, outcomes=OUTCOMES[:n]))
    widths = {}
    for n in (64, 128, 256, 512, 1024):
        widths[n] = setup(agent=routed.Config(rollout_steps=STEPS, hidden=(n, n)))
    environments = {}
    for n in (64, 256, 1024, 4096, 16384):
        agent = routed.Config(rollout_steps=STEPS, batch_size=8 * n)
        environments[n] = setup(agent=agent, num_envs=n)
    return {
        "rows and columns": sides,
        "experts": experts,
        "width": widths,
        "environments": environments,
    }


def setup(
    env: gridworld.Config | None = None, agent: routed.Config | None = None, num_envs: int = 256
) -> Setup:
    """Set up a run with rollouts of 32 steps; the default one but for what is given."""
    env = env or gridworld.Config()
    agent = agent or routed.Config(rollout_steps=STEPS)
    return from_configs(env, agent, run_settings(num_envs=num_envs))


def microseconds(run: Setup, *, updates: int = 5) -> tuple[float, float]:
    """Time collecting and updating, per environment step, after a warm-up."""
    env = run.make_env(run.config.settings.num_envs, seed=0)
    agent = run.make_agent(env)
    obs = env.reset()
    frames = Frames.like(obs, STEPS)
    collecting = []
    updating = []
    for _ in range(1 + updates):
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, STEPS, frames)
        collected = time.perf_counter()
        agent.update(labels.hide(rollout, env.spec))
        collecting.append(collected - began)
        updating.append(time.perf_counter() - collected)
        obs = rollout.last_obs
    scale = 1e6 / (STEPS * env.num_envs)
    return scale * statistics.median(collecting[1:]), scale * statistics.median(updating[1:])


def plot(axes: Axes, title: str, x: NDArray[np.int64], y: NDArray[np.float64]) -> None:
    """Draw times y (n, 2), of collecting and updating, against x (n,)."""
    # On logarithmic axes a power of x is a line, whose slope is the power.
    growth = np.polyfit(np.log(x), np.log(y.sum(axis=1)), 1)[0]
    for column, (name, colour) in enumerate(COLOURS.items()):
        axes.plot(x, y[:, column], marker="o", color=colour, label=name)
    axes.set_title(f"cost ~ {title} ^ {growth:.1f}", fontsize=10)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(title)
    axes.set_xticks(x, [str(n) for n in x])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Measure and draw."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    heading = "Microseconds per environment step, collecting and updating"
    figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
    sweeps = setups()
    all_axes = figure.subplots(1, len(sweeps), sharey=True)
    for axes, (title, points) in zip(all_axes, sweeps.items(), strict=True):
        x = np.array(list(points))
        y = np.array([microseconds(run) for run in points.values()])
        times = [f"{n}: {total:.1f}" for n, total in zip(x, y.sum(axis=1), strict=True)]
        print(f"{title:<18}{'  '.join(times)} us a step")
        plot(axes, title, x, y)
    all_axes[0].legend(frameon=False)
    path = ROOT / "docs" / "pictures" / "scaling.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"{torch.get_num_threads()} threads. Drawn in {path.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
