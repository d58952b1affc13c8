"""How long learning takes here and in another checkout of this project, trained by turns.

    git worktree add ../before cb6c336
    python benchmarks/against.py ../before
    python benchmarks/against.py ../before --goal 0.92 -- --agent oracle

Each checkout trains its own default run, but for the flags of `train.py` behind `--`, until what it
would deploy has the return `--goal`. Each run is a process of its own, by this Python. Times are
seconds of training, without evaluations.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import LIMIT, ROOT

TRAIN = f"""
import json, sys
import learning
from routed_rl.training.builder import build
goal, *flags = sys.argv[1:]
reached = learning.ours(build(flags), float(goal), {LIMIT})
print(json.dumps([reached.seconds, reached.steps]))
"""


def seconds(checkout: Path, goal: float, flags: Sequence[str]) -> float:
    """Train in a checkout, print what it took, and return it; infinite if the goal is not met."""
    path = os.pathsep.join((str(checkout), str(checkout / "benchmarks")))
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(goal), *flags],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{checkout} could not train: {done.stderr.strip().splitlines()[-1]}")
    took, steps = json.loads(done.stdout.splitlines()[-1])
    said = f"not reached in {steps:,} steps" if took is None else f"{steps:,} steps, {took:.2f} s"
    print(f"{' '.join(flags)}  {checkout.name:<12} {said}", flush=True)
    return math.inf if took is None else took


def main() -> None:
    """Train by turns and print the ratio of the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--goal", type=float, default=0.60, help="exact return to reach")
    parser.add_argument("--runs", type=int, default=5, help="seeds, from 0 on")
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[: own.index("--")], own[own.index("--") + 1 :]
    args = parser.parse_args(own)
    other = args.other.resolve()
    if not (other / "benchmarks" / "learning.py").is_file():
        parser.error(f"{args.other} has no benchmarks/learning.py: give a checkout of the project.")
    times: list[tuple[float, ...]] = []
    for seed in range(args.runs):
        of_seed = ["--seed", str(seed), *flags]
        times.append(tuple(seconds(checkout, args.goal, of_seed) for checkout in (other, ROOT)))
    # Of an even number the faster one in the middle: where a run fails, a mean has no meaning.
    before, here = map(statistics.median_low, zip(*times, strict=True))
    print(f"medians: {before:.2f} s there, {here:.2f} s here: {here / before:.2f}")


if __name__ == "__main__":
    main()
