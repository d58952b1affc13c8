"""How fast everything is, beside the machine's own limit: `make bench`.

Measures in one run and prints ratios, since machines differ:

- the float32 matrix-product rate;
- starting;
- the environment alone, with random and with goal-seeking actions;
- collecting, updating and both together, for the default settings and the paper's;
- the time to returns of 0.60 and 0.92, beside its peers, who have the true reward. Those of SBX,
  torchrl and JAX need requirements-peers.txt.

"Share" is the floating-point work that the dense method would do per second, divided by the
machine's matrix-product rate, timed between the updates. Above 1 means that work was left out:
samples that look the same are computed once, and zeros are skipped.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
LONG = 60.0
"""Seconds after which a training is not repeated once more."""

Figures = dict[str, float]
"""What was measured, by its column in benchmarks/history.csv."""


def default(agent: object = None, seed: int = 0) -> Setup:
    """Set up a run with the default settings, of the routed agent unless another is given."""
    return from_configs(gridworld.Config(), agent or routed.Config(), run_settings(seed=seed))


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


FORMER = (
    "--num-envs 256 --agent.rollout-steps 64 --agent.batch-size 2048 --agent.clip-range 0.2 "
    "--agent.hidden 256 256 --agent.learning-rate 3e-4 --agent.weight-decay 1e-4"
)


def former(seed: int) -> Setup:
    """Set up a run of the routed agent with what were its default settings."""
    return build(["--seed", str(seed), *FORMER.split()])


OURS: dict[str, tuple[str, float, Callable[[int], Setup]]] = {
    "routed": ("10%", 0.60, lambda seed: default(None, seed)),
    "routed, former settings": ("10%", 0.60, former),
    "absorbing": ("10%", 0.60, lambda seed: default(absorbing.Config(), seed)),
    "oracle": ("all", 0.60, lambda seed: default(oracle.Config(), seed)),
    "oracle to 0.92": ("all", 0.92, lambda seed: default(oracle.Config(), seed)),
}
"""Name -> what is overseen, the return to reach, and the run of a seed."""
LIMIT = 1_600_000
"""Environment steps after which a goal is given up."""


def learn(runs: int) -> Figures:
    """Measure and print the time to a return, ours and its peers', medians over seeds."""
    reached: dict[str, float] = {}
    steps = math.nan
    for name, (overseen, goal, setup_of) in OURS.items():
        times = _repeat(runs, partial(_ours, setup_of, goal))
        reached[name] = learning.seconds(times)
        steps = times[0].steps if name == "routed" else steps
        print(f"to {goal:.2f}      {name}, {overseen} of the ends overseen: {_told(times)}")
    settings = learning.Settings.of(default(oracle.Config()))
    for name, (package, peer) in learning.PEERS.items():
        if importlib.util.find_spec(package) is None:
            print(f"             {name} left out: pip install -r requirements-peers.txt")
            continue
        for goal, rivals in ((0.60, ("routed", "oracle")), (0.92, ("oracle to 0.92",))):
            times = _repeat(runs, partial(peer, settings, goal, LIMIT))
            _compare(f"{name}, our settings, to {goal:.2f}", times, reached, rivals)
    times = _repeat(runs, partial(learning.stable_baselines3, None, 0.60, LIMIT))
    _compare("SB3 PPO, its defaults, to 0.60", times, reached, ("routed", "oracle"))
    return {"goal_steps": steps, "goal_seconds": reached["routed"]}


def _ours(setup_of: Callable[[int], Setup], goal: float, seed: int) -> learning.Reached:
    """Train one of ours."""
    return learning.ours(setup_of(seed), goal, LIMIT)


def _repeat(runs: int, train: Callable[[int], learning.Reached]) -> list[learning.Reached]:
    """Train from seeds 0, 1, ..., until it has taken a minute in all."""
    times: list[learning.Reached] = []
    began = time.monotonic()
    while len(times) < runs and time.monotonic() - began < LONG:
        times.append(train(len(times)))
    return times


def _told(times: list[learning.Reached]) -> str:
    """Say a median, and of how many runs."""
    return f"{learning.median(times)} (median of seeds 0 to {len(times) - 1})"


def _compare(
    name: str, times: list[learning.Reached], reached: Mapping[str, float], rivals: Sequence[str]
) -> None:
    """Print how long a peer took, as a multiple of ours."""
    median = learning.seconds(times)
    ratios = [f"{median / reached[rival]:.2f}x {rival}" for rival in rivals]
    print(f"             {name}: {'; '.join([_told(times), *ratios])}")


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
    parser.add_argument("--runs", type=int, default=RUNS, help="of which times are medians")
    parser.add_argument("--history", action="store_true", help="add a row to history.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = measure()
    if not args.fast:
        found |= learn(args.runs)
    print(f"memory       {found['peak_memory_mb']:.0f} MB at most, before learning was timed")
    if args.history:
        about = {"version": routed_rl.__version__, "torch": torch.__version__}
        add_row(about | {"threads": args.threads} | found)


if __name__ == "__main__":
    main()
