"""Give every command inputs that nobody would give it on purpose; see whether it says so plainly.

    python tests/fuzz/fuzz.py --minutes 10
    python tests/fuzz/fuzz.py --inputs 1000 --seed 3 --only flags config

Inputs are drawn in rounds. Each has a process of its own, in which the libraries are imported
already. The same seed gives the same inputs; with --minutes, as many of them as there was time for.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import command_lines
import networks
import results
import settings_files
import worlds
import torch
from calls import Target, new_folder, replaced, write
from guard import SECONDS, Broken
from run_folders import FILES
from routed_rl.cli.main import main as main_command
from hypothesis import HealthCheck, Phase, given, seed, settings

TARGETS = (
    *command_lines.TARGETS,
    *settings_files.TARGETS,
    *results.TARGETS,
    *networks.TARGETS,
    *worlds.TARGETS,
)
WARM = (
    ("plot", "{}/runs"),
    ("plot", "{}/runs/one"),
    ("report", "{}/runs/one"),
    ("report", "{}/runs"),
    ("evaluate", "{}/runs/one", "--dial", "--episodes", "20", "--weights", "0", "--plot", "{}/x.png"),
    ("evaluate", "{}/runs/one", "--gif", "{}/x.gif", "--export", "{}/x.pt2"),
    ("train", "--env", "CartPole-v1", "--steps", "100", "--run-dir", "{}/pole"),
    ("train", "--resume", "{}/runs/one", "--steps", "1500"),
    ("train", "--env", "nothing:Nothing-v0"),
    ("train", "--help"),
)
"""Commands that import whatever any of them needs."""
ROUND = 400
"""Inputs of a round at most."""


@dataclass
class Tally:
    """What came of the inputs of a target."""

    tried: int = 0
    seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    """What went wrong, and where -> the shortest input that did it."""
    count: Counter[str] = field(default_factory=Counter)

    def note(self, fault: str, given_input: str) -> None:
        """Keep an input that went wrong, if it is the shortest."""
        self.count[fault] += 1
        if fault not in self.faults or len(given_input) < len(self.faults[fault]):
            self.faults[fault] = given_input

    def add(self, other: Tally) -> None:
        """Count what another round came to."""
        self.tried += other.tried
        self.seconds += other.seconds
        for fault, given_input in other.faults.items():
            self.note(fault, given_input)
            self.count[fault] += other.count[fault] - 1


def describe(error: BaseException) -> str:
    """Say what was raised, and by which line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/routed_rl/" in frame.filename or "/envs/" in frame.filename]
    where = f" ({own[-1].filename.split('/routed_rl/')[-1]}:{own[-1].lineno})" if own else ""
    text = str(error) if isinstance(error, Broken) else type(error).__name__ + ": " + str(error)[:100]
    return text + where


def play(target: Target, number: int, count: int, folder: Path, tell: Connection) -> None:
    """Try the inputs of a round, and send what came of them."""
    tally = Tally()
    folder.mkdir(parents=True)
    last = folder.parent / "last"
    last.write_text("none was drawn")
    before, path = set(sys.modules), list(sys.path)
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
        last.write_text(repr(drawn)[:5000], errors="backslashreplace")
        with new_folder(folder / str(tally.tried)):
            try:
                target.run(drawn)
            except BaseException as error:  # whatever it is, the next input is tried
                tally.note(describe(error), repr(drawn))
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name.startswith("routed_rl_plugin"):
                del sys.modules[name]

    with replaced(target.instead):
        try_one()
    tally.seconds = time.monotonic() - began
    tell.send(tally)


def one_round(target: Target, number: int, count: int) -> Tally:
    """Try inputs in a process of their own: some might end it."""
    fork = get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "inputs"
        child = fork.Process(target=play, args=(target, number, count, folder, theirs))
        child.start()
        theirs.close()
        try:
            return ours.recv()
        except EOFError:
            child.join()
            tally = Tally(tried=1)
            tally.note(f"ended the process, exit code {child.exitcode}", (Path(scratch) / "last").read_text())
            return tally
        finally:
            child.join()


def fuzz(targets: Sequence[Target], *, inputs: int | None, minutes: float | None, first: int) -> dict[str, Tally]:
    """Try inputs of every target in turn, up to a number or a time."""
    tallies = {target.name: Tally() for target in targets}
    shares = sum(target.share for target in targets)
    end = time.monotonic() + 60 * (minutes or 1e9)
    for number in itertools.count():
        played = 0
        for target in targets:
            tally = tallies[target.name]
            wanted = ROUND if inputs is None else -(-inputs * target.share // shares) - tally.tried
            count = min(wanted, max(ROUND * target.share // 100, 10))
            if count <= 0 or time.monotonic() > end:
                continue
            tally.add(one_round(target, 1_000_003 * first + number, count))
            played += 1
            total = sum(one.tried for one in tallies.values())
            print(f"{target.name:<12} {tally.tried:>7,} inputs, {total:>8,} in all, {len(tally.faults)} faults", file=sys.stderr, flush=True)
        if not played:
            return tallies
    raise AssertionError("unreachable")


def report(tallies: dict[str, Tally]) -> int:
    """Print what was tried and what went wrong; return the exit code."""
    print(f"{'target':<12} {'inputs':>8} {'seconds':>8} {'faults':>7}")
    for name, tally in tallies.items():
        print(f"{name:<12} {tally.tried:>8,} {tally.seconds:>8.0f} {len(tally.faults):>7}")
    faults = [(name, *item, tally.count[item[0]]) for name, tally in tallies.items() for item in tally.faults.items()]
    print(f"{'all':<12} {sum(x.tried for x in tallies.values()):>8,} {sum(x.seconds for x in tallies.values()):>8.0f} {len(faults):>7}")
    for name, fault, given_input, count in faults:
        print(f"\n{name}: {fault} ({count} times)\n  {given_input[:600]}")
    return 1 if faults else 0


def warm_up() -> None:
    """Let libraries import what they need, and write what they keep, before anything is watched."""
    with tempfile.TemporaryDirectory() as folder:
        write(FILES, f"{folder}/runs/one")
        for args in WARM:
            with suppress(SystemExit), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                main_command("routed-rl", [word.format(folder) for word in args])


def main() -> int:
    """Read the flags, and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[target.name for target in TARGETS])
    given_flags = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    targets = [target for target in TARGETS if target.name in given_flags.only]
    tallies = fuzz(targets, inputs=given_flags.inputs, minutes=given_flags.minutes, first=given_flags.seed)
    return report(tallies)


if __name__ == "__main__":
    sys.exit(main())
