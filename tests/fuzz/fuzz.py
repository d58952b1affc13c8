"""Give every command inputs that nobody would give it on purpose; see whether it says so plainly.

    make fuzz MINUTES=10
    make fuzz FLAGS="--inputs 1000 --seed 3 --only flags config"

Inputs are drawn in rounds, each in a process of its own, in which all libraries are imported. The
same seed and --inputs give the same inputs; with --minutes as many are tried as there is time for.

What goes wrong is not shrunk: of all inputs that go wrong in one place the shortest is shown.
"""

from __future__ import annotations

import argparse
import io
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import command_lines
import networks
import results
import settings_files
import torch
import worlds
from calls import Target, new_folder, replaced, write
from hypothesis import HealthCheck, Phase, given, seed, settings
from run_folders import FILES
from tally import Tally, describe

from routed_rl.cli.main import main as routed_rl

TARGETS = (
    *command_lines.TARGETS,
    *settings_files.TARGETS,
    *results.TARGETS,
    *networks.TARGETS,
    *worlds.TARGETS,
)
ROUND = 400
"""Inputs of a round at most."""
MEMORY = Path("/dev/shm")
"""Where files are no files of a disk: most inputs are files, and a disk takes most of the time."""
WARM = (
    *("plot {}/runs", "plot {}/runs/one", "report {}/runs", "report {}/runs/one"),
    "evaluate {}/runs/one --dial --episodes 20 --weights 0 --plot {}/x.png",
    "evaluate {}/runs/one --gif {}/x.gif --export {}/x.pt2",
    "train --env CartPole-v1 --steps 100 --run-dir {}/pole",
    "train --resume {}/runs/one --steps 1500",
    *("train --env nothing:Nothing-v0", "train --help"),
)
"""Commands that import whatever any of them needs."""


def warm_up() -> None:
    """Let libraries import what they need, and write what they keep, before anything is watched."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write(FILES, f"{folder}/runs/one")
        for line in WARM:
            quiet = io.StringIO()
            with suppress(SystemExit), redirect_stdout(quiet), redirect_stderr(quiet):
                routed_rl("routed-rl", line.format(*[folder] * 3).split())


def play(target: Target, number: int, count: int, scratch: Path, tell: Connection) -> None:
    """Try the inputs of a round, and send what came of them."""
    tally = Tally()
    began = time.monotonic()

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def try_one(drawn: Any) -> None:
        tally.tried += 1
        (scratch / "last").write_text(repr(drawn)[:5000], errors="backslashreplace")
        with new_folder(scratch / "input"):
            try:
                target.run(drawn)
            except BaseException as error:  # whatever it is, the next input is tried
                tally.note(describe(error), repr(drawn))

    with replaced(target.instead):
        try_one()
    tally.seconds = time.monotonic() - began
    tell.send(tally)


def one_round(target: Target, number: int, count: int) -> Tally:
    """Try inputs in a process of their own: some might end it."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        scratch = Path(folder).resolve()
        child = fork.Process(target=play, args=(target, number, count, scratch, theirs))
        child.start()
        theirs.close()
        try:
            tally: Tally = ours.recv()
        except EOFError:
            child.join()
            tally = Tally(tried=1)
            last = (scratch / "last").read_text()
            tally.note(f"ended the process, exit code {child.exitcode}", last)
        child.join()
        return tally


def fuzz(targets: Sequence[Target], *, inputs: float, seconds: float, first: int) -> list[Tally]:
    """Try inputs of every target in turn, up to a number of all or a time.

    Returns:
        What came of each.
    """
    tallies = [Tally() for _ in targets]
    shares = sum(target.share for target in targets)
    end = time.monotonic() + seconds
    for number in itertools.count(1_000_000 * first):
        waiting = False
        for target, tally in zip(targets, tallies, strict=True):
            wanted = inputs * target.share / shares - tally.tried
            if wanted > 0 and time.monotonic() < end:
                count = min(int(wanted) + 1, max(ROUND * target.share // 100, 5), ROUND)
                tally.add(one_round(target, number, count))
                waiting = True
                _say_how_far(target, tally, sum(one.tried for one in tallies))
        if not waiting:
            break
    return tallies


def _say_how_far(target: Target, tally: Tally, total: int) -> None:
    """Write a line after each round."""
    said = f"{target.name:<12} {tally.tried:>7,} inputs, {len(tally.faults)} faults"
    print(f"{said}; {total:,} inputs in all", file=sys.stderr, flush=True)


def main() -> int:
    """Read the flags, and fuzz; the exit code is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [target.name for target in TARGETS]
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--inputs", type=float, default=1e5, help="of all targets; 100,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="TARGET")
    asked = parser.parse_args()
    warm_up()
    targets = [target for target in TARGETS if target.name in asked.only]
    tallies = fuzz(targets, inputs=asked.inputs, seconds=60 * asked.minutes, first=asked.seed)
    total = Tally()
    for target, tally in zip(targets, tallies, strict=True):
        tally.print(target.name)
        total.add(tally)
    total.print("all")
    total.print_faults()
    return 1 if total.faults else 0


if __name__ == "__main__":
    sys.exit(main())
