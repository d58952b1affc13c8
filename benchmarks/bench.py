"""How fast everything is, beside the machine's own limit: `make bench`.

Measures in one run and prints ratios, since machines differ:

- the float32 matrix-product rate;
- starting;
- the environment alone, with random and with goal-seeking actions;
- collecting, updating and both together, for the default settings and the paper's;
- the time to a return of 0.60, beside Stable-Baselines3's PPO.

"Share" is the floating-point work that the dense method would do per second, divided by the
machine's matrix-product rate, timed between the updates. Above 1 means that work was left out:
samples that look the same are computed once, and zeros are skipped.
"""

from __future__ import annotations

import argparse
import csv
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import learning
import torch
from speed import RUNS, env_rate, gemm_rate, median_seconds, train_speed

import routed_rl
from routed_rl.agents import absorbing, oracle, routed
from routed_rl.envs import gridworld
from routed_rl.training.builder import build, from_configs, run_settings
from routed_rl.training.setup import Setup

ROOT = Path(__file__).parents[1]
GOAL = 0.60
"""The return that learning is timed to."""

Figures = dict[str, float]
"""What was measured, by its column in benchmarks/history.csv."""


def default(agent: object = None) -> Setup:
    """Set up a run with the default settings, of the routed agent unless another is given."""
    return from_configs(gridworld.Config(), agent or routed.Config(), run_settings())


def from_file(name: str) -> Setup:
    """Set up the run of a file in configs/."""
    return build(["--config", str(ROOT / "configs" / name)])


def measure() -> Figures:
    """Measure everything but learning, print it line by line, and return it for the history."""
    found = {
        "gemm_gflops": gemm_rate(RUNS) / 1e9,
        "import_torch_seconds": command_seconds("-c", "import torch"),
    }
    rate = f"float32 matrix product {found['gemm_gflops']:.0f} GFLOP/s"
    print(f"machine      {torch.get_num_threads()} threads, {rate}")
    found |= measure_start(found["import_torch_seconds"])
    for num_envs in (64, 512, 4096):
        env = default().make_env(num_envs, seed=0)
        random = env_rate(env, seeking=False)
        seeking = env_rate(env, seeking=True)
        found[f"env_steps_per_second_{num_envs}"] = seeking
        rates = f"random {random:>10,.0f} steps/s, goal-seeking {seeking:>10,.0f}"
        print(f"environment  {num_envs:>5} envs: {rates}")
    for name, setup in (("default", default()), ("paper", from_file("paper.yaml"))):
        speed = train_speed(setup)
        found[f"{name}_steps_per_second"] = speed.steps_per_second
        found[f"{name}_share"] = speed.share
        print(
            f"{name:<12} {speed.steps_per_second:7,.0f} steps/s: "
            f"collect {speed.collecting * 1e3:.0f} ms, update {speed.updating * 1e3:.0f} ms, "
            f"of it environment {speed.environment:.1%}; share {speed.share:.2f}"
        )
    found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def measure_start(import_torch_seconds: float) -> Figures:
    """Time `train.py --help`, and the shortest run there is."""
    shown = command_seconds("train.py", "--help")
    tiny = ("train.py", "--steps", "1", "--evaluations", "0", "--episodes", "1", "--run-dir")
    trained = command_seconds(*tiny, new_folder=True)
    print(
        f"start        --help {shown:.2f} s; a run of one update, with its result written, "
        f"{trained:.1f} s (import torch alone {import_torch_seconds:.1f} s)"
    )
    return {"help_seconds": shown, "first_update_seconds": trained}


def command_seconds(*args: str, new_folder: bool = False) -> float:
    """Time a Python program, which may get the name of a new folder as its last argument."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            last = (f"{folder}/new",) if new_folder else ()
            command = [sys.executable, *args, *last]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    return median_seconds(run, warm_up=1, runs=3)


def learn() -> Figures:
    """Measure and print the time to a return of 0.60, ours and Stable-Baselines3's."""
    fast = from_file("fast.yaml")
    ours = {
        "routed": ("10%", default()),
        "configs/fast.yaml": ("10%", fast),
        "absorbing": ("10%", default(absorbing.Config())),
        "oracle": ("all", default(oracle.Config())),
    }
    reached = {}
    for name, (overseen, setup) in ours.items():
        reached[name] = learning.ours(setup, GOAL, limit=1_600_000)
        print(f"to {GOAL:.2f}      {name}, {overseen} of the ends overseen: {reached[name]}")
    sb3 = {
        "SB3 PPO, its defaults, 8 environments": {"num_envs": 8},
        "SB3 PPO, our rollouts, widths and step sizes": learning.settings_for_sb3(default()),
        "SB3 PPO, those of configs/fast.yaml": learning.settings_for_sb3(fast),
    }
    for name, settings in sb3.items():
        theirs = learning.stable_baselines3(goal=GOAL, limit=800_000, **settings)
        parts = [f"             {name}, true reward: {theirs}"]
        for agent, own in reached.items():
            if theirs.seconds and own.seconds:
                parts.append(f"{theirs.seconds / own.seconds:.1f}x {agent}")
        print("; ".join(parts))
    routed_one = reached["routed"]
    return {"goal_steps": routed_one.steps, "goal_seconds": routed_one.seconds or math.nan}


def add_row(row: Mapping[str, object]) -> None:
    """Add a row to benchmarks/history.csv."""
    path = ROOT / "benchmarks" / "history.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow(
            f"{value:.4g}" if isinstance(value, float) else value for value in row.values()
        )


def main() -> None:
    """Measure, print, and with --history add a row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    threads = torch.get_num_threads()
    parser.add_argument("--threads", type=int, default=threads, help="threads for torch")
    parser.add_argument("--fast", action="store_true", help="leave out learning: it takes minutes")
    parser.add_argument("--history", action="store_true", help="add a row to history.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = measure()
    if not args.fast:
        found |= learn()
    print(f"memory       {found['peak_memory_mb']:.0f} MB at most, before learning was timed")
    if args.history:
        about = {"version": routed_rl.__version__, "torch": torch.__version__}
        add_row(about | {"threads": args.threads} | found)


if __name__ == "__main__":
    main()
