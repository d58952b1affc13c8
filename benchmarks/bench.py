"""How fast everything is, beside the machine's own limit: `make bench`.

Measures in one run and prints ratios, since machines differ: the float32 matrix-product rate, starting, the environment
alone (random and goal-seeking), collecting, updating and both together, for the default settings and the paper's, and
the time to a return of 0.60 beside Stable-Baselines3's PPO. "Share" is the floating-point work that the dense method
would do per second, divided by the machine's matrix-product rate, timed between the updates: above 1 means that work
was left out (samples that look the same are computed once, and zeros are skipped).
"""

from __future__ import annotations

import argparse
import csv
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import routed_rl  # noqa: E402
from benchmarks import learning  # noqa: E402
from routed_rl import assembly, labels  # noqa: E402
from routed_rl.env import VecEnv  # noqa: E402
from routed_rl.networks import FirstLayer  # noqa: E402
from routed_rl.rollout import Frames, collect  # noqa: E402

RUNS = 5
GOAL = 0.60


def median_seconds(action: Callable[[], object], *, warm_up: int = 2, runs: int = RUNS) -> float:
    """Time an action."""
    for _ in range(warm_up):
        action()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def gemm_rate(runs: int) -> float:
    """Measure float32 operations per second of a matrix product of the sizes that training has."""
    a, b = torch.randn(4096, 256), torch.randn(256, 256)
    return 10 * 2 * 4096 * 256 * 256 / median_seconds(lambda: [a @ b for _ in range(10)], warm_up=1, runs=runs)


def env_rate(env: VecEnv, *, seeking: bool) -> float:
    """Measure environment steps per second, with random or with goal-seeking actions."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(env.spec.num_actions, (200, env.num_envs), generator=generator)
    seconds = 0.0
    obs = env.reset()
    for t in range(200):
        action = towards_the_good_end(obs) if seeking else actions[t]
        began = time.perf_counter()
        obs = env.step(action).obs
        seconds += time.perf_counter() - began
    return 200 * env.num_envs / seconds


def towards_the_good_end(obs: torch.Tensor) -> torch.Tensor:
    """Step towards the diamond of each gridworld."""
    columns = obs.shape[-1]
    agent, target = (obs[:, plane].flatten(1).argmax(dim=1) for plane in (0, 1))
    down, right = target // columns - agent // columns, target % columns - agent % columns
    return torch.where(down != 0, (down > 0).long(), 2 + (right > 0).long())


def dense_work(modules: Sequence[nn.Module], *, passes: int) -> int:
    """Count the operations of the dense method per environment step: one forward to act, `passes` times learning.

    A backward is two forwards, less the gradient of the observation, which nobody needs.
    """
    work = 0
    for module in modules:
        sizes = [2 * weight.numel() for weight in module.parameters() if weight.ndim == 2]
        takes_obs = any(isinstance(layer, FirstLayer) for layer in module.modules())
        work += sum(sizes) + passes * (3 * sum(sizes) - (sizes[0] if takes_obs else 0))
    return work


class Speed(NamedTuple):
    """How fast one setting is, each a median."""

    collecting: float  # seconds a rollout
    updating: float  # seconds an update
    steps_per_second: float  # end to end
    environment: float  # share of the time spent in the environment, by a goal-seeking policy
    share: float  # dense work per second, divided by the matrix-product rate


def train_speed(flags: Sequence[str]) -> Speed:
    """Train a little with the flags of train.py; the matrix product is timed between the updates."""
    run = assembly.build(flags)
    env = run.make_env(run.settings.num_envs, seed=0)
    agent = run.make_agent(env)
    steps, obs = run.settings.agent.rollout_steps, env.reset()
    samples, frames = steps * env.num_envs, Frames.like(obs, steps)
    passes = run.settings.agent.epochs if run.settings.agent.algorithm == "ppo" else 1
    work = dense_work(agent.learner.modules, passes=passes) * samples
    stepping = samples / env_rate(run.make_env(run.settings.num_envs, seed=0), seeking=True)
    speeds = []
    for number in range(2 + 3 * RUNS):
        gemm = gemm_rate(1)
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, steps, frames)
        collected = time.perf_counter()
        agent.update(labels.hide(rollout, env.spec.outcome_rewards))
        both = time.perf_counter() - began
        obs = rollout.last_obs
        if number >= 2:
            collecting = collected - began
            speed = Speed(collecting, both - collecting, samples / both, stepping / both, work / both / gemm)
            speeds.append(speed)
    return Speed(*(statistics.median(column) for column in zip(*speeds, strict=True)))


def measure() -> dict[str, float]:
    """Measure everything, print it line by line, and return it for the history."""
    found = {"gemm_gflops": gemm_rate(RUNS) / 1e9, "import_torch_seconds": command_seconds("-c", "import torch")}
    threads = torch.get_num_threads()
    print(f"machine      {threads} threads, float32 matrix product {found['gemm_gflops']:.0f} GFLOP/s")
    found["help_seconds"] = command_seconds("train.py", "--help")
    tiny = ("train.py", "--steps", "1", "--evaluations", "0", "--episodes", "1", "--run-dir")
    found["first_update_seconds"] = command_seconds(*tiny, new_folder=True)
    print(
        f"start        --help {found['help_seconds']:.2f} s; a run of one update, with its result written, "
        f"{found['first_update_seconds']:.1f} s (import torch alone {found['import_torch_seconds']:.1f} s)"
    )
    for num_envs in (64, 512, 4096):
        env = assembly.build([]).make_env(num_envs, seed=0)
        rates = [env_rate(env, seeking=seeking) for seeking in (False, True)]
        found[f"env_steps_per_second_{num_envs}"] = rates[1]
        print(f"environment  {num_envs:>5} envs: random {rates[0]:>10,.0f} steps/s, goal-seeking {rates[1]:>10,.0f}")
    for name, flags in (("default", []), ("paper", ["--config", str(ROOT / "configs" / "paper.yaml")])):
        speed = train_speed(flags)
        found |= {f"{name}_steps_per_second": speed.steps_per_second, f"{name}_share": speed.share}
        print(
            f"{name:<12} {speed.steps_per_second:7,.0f} steps/s: collect {speed.collecting * 1e3:.0f} ms, update "
            f"{speed.updating * 1e3:.0f} ms, of it environment {speed.environment:.1%}; share {speed.share:.2f}"
        )
    found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def learn(found: dict[str, float]) -> None:
    """Measure the time to a return of 0.60, ours and Stable-Baselines3's."""
    fast = ["--config", str(ROOT / "configs" / "fast.yaml")]
    ours = {
        "routed": ("10%", ["--agent", "routed"]),
        "configs/fast.yaml": ("10%", fast),
        "absorbing": ("10%", ["--agent", "absorbing"]),
        "oracle": ("all", ["--agent", "oracle"]),
    }
    reached = {}
    for name, (sees, flags) in ours.items():
        reached[name] = learning.ours(flags, GOAL, limit=1_600_000)
        print(f"to {GOAL:.2f}      {name}, {sees} of the ends overseen: {reached[name]}")
    found |= {"goal_steps": reached["routed"].steps, "goal_seconds": reached["routed"].seconds or math.nan}
    sb3 = {
        "SB3 PPO, its defaults, 8 environments": {"num_envs": 8},
        "SB3 PPO, our rollouts, widths and step sizes": learning.settings_for_sb3([]),
        "SB3 PPO, those of configs/fast.yaml": learning.settings_for_sb3(fast),
    }
    for name, settings in sb3.items():
        theirs = learning.stable_baselines3(goal=GOAL, limit=800_000, **settings)
        ratios = [
            f"{theirs.seconds / own.seconds:.1f}x {agent}"
            for agent, own in reached.items()
            if theirs.seconds and own.seconds
        ]
        print("; ".join((f"             {name}, true reward: {theirs}", *ratios)))


def command_seconds(*args: str, new_folder: bool = False) -> float:
    """Time a Python program, which may get the name of a new folder as its last argument."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            last = (f"{folder}/new",) if new_folder else ()
            subprocess.run([sys.executable, *args, *last], cwd=ROOT, check=True, capture_output=True)

    return median_seconds(run, warm_up=1, runs=3)


def main() -> None:
    """Measure, print, and with --history add a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads for torch")
    parser.add_argument("--fast", action="store_true", help="leave out what takes minutes: learning")
    parser.add_argument("--history", action="store_true", help="add a row to benchmarks/history.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = measure()
    if not args.fast:
        learn(found)
    print(f"memory       {found['peak_memory_mb']:.0f} MB at most, before learning was timed")
    if args.history:
        add_row({"version": routed_rl.__version__, "torch": torch.__version__, "threads": args.threads} | found)


def add_row(row: Mapping[str, object]) -> None:
    """Add a row to benchmarks/history.csv."""
    path = ROOT / "benchmarks" / "history.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow(f"{value:.4g}" if isinstance(value, float) else value for value in row.values())


if __name__ == "__main__":
    main()
