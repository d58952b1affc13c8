"""A long life in little time: do memory, open files, threads and files of events stay flat?

    python benchmarks/soak.py [--updates 200000] [--evaluations 1440] [--run-dir runs/soak]

One run of `routed` with very small updates, and with as many evaluations as a run of 24 hours has
that is evaluated every minute. Ten times a second the process is looked at from outside. The table
has what it took in the first hundredth of the run, once it was evaluated, and in each tenth: the
least and the most memory, since an evaluation takes some and gives it back; the most open files and
threads; and the size of its folder's logs at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

STEPS = 32
"""Environment steps of an update: 8 environments, 4 steps."""
SMALL = [
    *("--num-envs", "8", "--agent.rollout-steps", "4", "--agent.batch-size", "32"),
    *("--agent.hidden", "16", "--no-page"),
]
EDGES = (0.01, *(part / 10 for part in range(1, 11)))
"""Where the parts of a run end that the table tells of, as shares of it."""
EVERY = 0.1
"""Seconds between two looks."""


class Look(NamedTuple):
    """What a process takes at some time."""

    done: float  # share of the run, from 0 to 1
    memory: float  # MB that are resident
    files: int
    threads: int
    logs: float  # MB of events, metrics and boards


def look(process: int, folder: Path, total: int) -> Look:
    """Look at a process, and at the folder of its run."""
    proc = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    logs = [*folder.glob("events*"), *folder.glob("metrics.csv"), *folder.glob("*.jsonl")]
    return Look(
        done=_last_step(folder / "metrics.csv") / total,
        memory=int(status["VmRSS"].split()[0]) / 1024,
        files=len(list((proc / "fd").iterdir())),
        threads=int(status["Threads"]),
        logs=sum(file.stat().st_size for file in logs) / 1e6,
    )


def _last_step(metrics: Path) -> int:
    """Return the step of the last whole row of metrics.csv, 0 without one."""
    if not metrics.exists():
        return 0
    with metrics.open("rb") as file:
        file.seek(max(metrics.stat().st_size - 4096, 0))
        *_, last, _ = [b"0", b"0", *file.read().split(b"\n")]
    step = last.split(b",")[0]
    return int(step) if step.isdigit() else 0


def table(looks: list[Look], evaluations: int) -> list[str]:
    """Return the table's lines."""
    rows = [
        "| share of the run | least MB | most MB | open files | threads | MB of logs |",
        "|---|---|---|---|---|---|",
    ]
    for since, until in pairwise((1 / evaluations, *EDGES)):
        part = [one for one in looks if since <= one.done <= until]
        if part:
            most = Look(*map(max, zip(*part, strict=True)))  # type: ignore[arg-type]
            least = min(one.memory for one in part)
            rows.append(
                f"| {until:.0%} | {least:.1f} | {most.memory:.1f} | {most.files} | {most.threads} "
                f"| {most.logs:.1f} |"
            )
    return rows


def main() -> None:
    """Train, look, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=200_000)
    parser.add_argument("--evaluations", type=int, default=1440)
    parser.add_argument("--run-dir", type=Path, default=Path("runs/soak"))
    args = parser.parse_args()
    total = args.updates * STEPS
    flags = ["--steps", str(total), "--evaluations", str(args.evaluations), *SMALL]
    command = [sys.executable, "-m", "routed_rl", "train", "--run-dir", str(args.run_dir), *flags]
    looks = []
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(EVERY)
            try:
                looks.append(look(process.pid, args.run_dir, total))
            except (KeyError, OSError):  # it has just ended
                continue
            gone = time.monotonic() - began
            left = gone / looks[-1].done - gone if looks[-1].done else float("nan")
            print(f"\r{looks[-1].done:.1%}, {left / 60:.0f} min left ", end="", file=sys.stderr)
    print(file=sys.stderr)
    print("\n".join(table(looks, args.evaluations)))
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
