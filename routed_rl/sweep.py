"""Many runs from one file: a grid of flags and seeds, each run a process of its own.

What is finished is skipped, what was killed is resumed, what fails is told at the end and stops nothing else.
"""

from __future__ import annotations

import csv
import itertools
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from tqdm import tqdm

from routed_rl.config import UserError

Launcher = Literal["local", "ray"]
_SECONDS = 2.0  # between two looks at what runs


@dataclass(frozen=True)
class Task:
    """One run of a sweep."""

    folder: Path
    flags: tuple[str, ...]
    steps: int

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether it has its steps and its result."""
        try:
            return json.loads((self.folder / "result.json").read_text())["env_steps"] >= self.steps
        except (OSError, ValueError, KeyError):
            return False

    @property
    def started(self) -> bool:
        """Whether there is something to resume."""
        return (self.folder / "checkpoints" / "last.pt").exists()

    def command(self) -> list[str]:
        """Say how to do it, or to go on with it."""
        program = [sys.executable, "-m", "routed_rl", "train"]
        if self.started:
            return [*program, "--resume", str(self.folder), "--steps", str(self.steps)]
        return [*program, *self.flags, "--run-dir", str(self.folder)]

    def env_steps(self) -> int:
        """Say how far it has come."""
        try:
            with (self.folder / "metrics.csv").open() as file:
                return int(float(list(csv.reader(file))[-1][0]))
        except (OSError, ValueError, IndexError):
            return 0

    def execute(self) -> str | None:
        """Do it; return None, or the last line of what went wrong."""
        if not self.started:
            shutil.rmtree(self.folder, ignore_errors=True)  # a run that was killed before its first checkpoint
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(self.command(), capture_output=True, text=True, env=environment, check=False)
        if done.returncode == 0:
            return None
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return f"exit code {done.returncode}: {lines[-1] if lines else 'it said nothing'}"


def read(path: Path, out: Path | None, steps_of: Callable[[Sequence[str]], int]) -> list[Task]:
    """Read a sweep.

    Args:
        path: a toml file with `seeds`, `flags` of every run, and tables `[[grid]]` whose lists are multiplied. If it
            has tables `[[world]]`, each grid is run in each of them; their lists are values of one flag.
        out: the folder for its runs; runs/NAME unless given.
        steps_of: says how many steps a run with these flags has; raises UserError if one is wrong.

    Raises:
        UserError: if the file is not there, or not what it should be.
    """
    try:
        plain = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Give a file such as sweeps/quick.toml.") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no toml file: {error}.") from None
    _check(plain, path)
    folder = out or Path("runs") / path.stem
    tasks: dict[str, Task] = {}
    points = [
        world | point for world in plain.get("world", [{}]) for table in plain["grid"] for point in _points(table)
    ]
    seeds = plain.get("seeds", [0])
    steps = [steps_of(tuple(_to_flags(plain.get("flags", {}) | point | {"seed": seeds[0]}))) for point in points]
    for seed, (chosen, number) in itertools.product(seeds, zip(points, steps, strict=True)):  # whole seeds first
        flags = tuple(_to_flags(plain.get("flags", {}) | chosen | {"seed": seed}))
        name = _name(chosen, seed)
        task = tasks.setdefault(name, Task(folder / name, flags, number))
        if set(task.flags) != set(flags):
            raise UserError(f"{path}: two runs are both called {name}: give each other values or another agent.")
    return list(tasks.values())


def _check(plain: dict[str, Any], path: Path) -> None:
    """Raise UserError unless a sweep has the parts it should have."""
    unknown = sorted(set(plain) - {"seeds", "flags", "world", "grid"})
    wrong = f"has {', '.join(unknown)}" if unknown else ""
    for name in ("grid", "world"):
        tables = plain.get(name, [{}] if name == "world" else None)
        if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
            wrong = wrong or f"has no table [[{name}]]"
    seeds = plain.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        wrong = wrong or f"has seeds {plain['seeds']}, which is no list of numbers"
    if wrong:
        raise UserError(f"{path} {wrong}: a sweep has `seeds` (a list), `flags`, tables [[grid]] and maybe [[world]].")


def run(tasks: Sequence[Task], *, launcher: Launcher, jobs: int, address: str | None = None) -> dict[str, str]:
    """Do all that is not finished.

    Args:
        tasks: what to do.
        launcher: local processes, or tasks of Ray.
        jobs: how many at a time, locally.
        address: of a Ray cluster; a Ray of this machine's own unless given.

    Returns:
        name -> what went wrong, of the runs that failed.
    """
    left = [task for task in tasks if not task.finished]
    print(f"{len(tasks)} runs, {len(tasks) - len(left)} finished before.", flush=True)
    failed: dict[str, str] = {}
    began = time.monotonic()
    doing = _with_ray(left, address) if launcher == "ray" else _with_processes(left, jobs)
    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=1, transient=True) as live:
        for running, done in doing:
            for task, error in done:
                if error is not None:
                    failed[task.name] = error
                if not console.is_terminal:
                    print(f"{task.name}: {error or 'done'}", flush=True)
            if console.is_terminal:
                live.update(_table(left, running, failed, time.monotonic() - began))
    return failed


Doing = Iterator[tuple[list[Task], list[tuple[Task, str | None]]]]
"""Again and again: what runs, and what ended since, each with its error."""


def _with_processes(tasks: Sequence[Task], jobs: int) -> Doing:
    """Run tasks in processes, some at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(task.execute): task for task in tasks}
        try:
            while pending:
                ended = wait(pending, timeout=_SECONDS, return_when="FIRST_COMPLETED").done
                done = [(pending.pop(future), future.result()) for future in ended]
                yield [task for future, task in pending.items() if future.running()], done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _with_ray(tasks: Sequence[Task], address: str | None) -> Doing:
    """Run tasks as tasks of Ray, one processor each."""
    try:
        import ray  # type: ignore[import-not-found]
    except ImportError:
        raise UserError("--launcher ray needs Ray, which is not installed: pip install ray.") from None
    ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    try:
        execute = ray.remote(num_cpus=1)(Task.execute)
        pending: dict[Any, Task] = {execute.remote(task): task for task in tasks}
        while pending:
            ended, _ = ray.wait(list(pending), num_returns=1, timeout=_SECONDS)
            done = [(pending.pop(reference), ray.get(reference)) for reference in ended]
            yield [task for task in pending.values() if task.folder.exists()], done
    finally:
        ray.shutdown()


def _table(left: Sequence[Task], running: Sequence[Task], failed: dict[str, str], seconds: float) -> Group:
    """Show what runs, how far it is, and how long all will take."""
    table = Table("run", "steps", "of", title_justify="left")
    for task in running:
        table.add_row(task.name, f"{task.env_steps():,}", f"{task.steps:,}")
    done = sum(task.finished for task in left)
    part = done + sum(task.env_steps() / max(task.steps, 1) for task in running)
    remaining = tqdm.format_interval(seconds / part * (len(left) - part)) if part else "?"
    return Group(table, f"{done} of {len(left)} done, {len(failed)} failed, {remaining} left")


def _points(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Multiply the lists of a table: one value of each for every run."""
    lists = [value if isinstance(value, list) else [value] for value in table.values()]
    for values in itertools.product(*lists):
        yield dict(zip(table, values, strict=True))


def _name(chosen: dict[str, Any], seed: object) -> str:
    """Name a run after what was chosen for it."""
    words = [str(chosen.get("agent", "routed"))]
    for flag, value in chosen.items():
        short = flag.split(".")[-1]
        value = "+".join(map(str, value)) if isinstance(value, list) else value
        if flag != "agent":
            words.append(short if value is True else f"no-{short}" if value is False else f"{short}-{value}")
    return re.sub(r"[^\w.,=+-]+", "-", "_".join([*words, f"seed-{seed}"]))


def _to_flags(flags: dict[str, Any]) -> Iterator[str]:
    """Write flags as on a command line."""
    for name, value in flags.items():
        if isinstance(value, bool):
            head, _, tail = name.rpartition(".")
            yield f"--{head}.{'' if value else 'no-'}{tail}" if head else f"--{'' if value else 'no-'}{tail}"
        else:
            yield f"--{name}"
            yield from map(str, value) if isinstance(value, list) else [str(value)]


def commands(tasks: Sequence[Task]) -> list[str]:
    """Write the command of every run that is not finished, for any other queue."""
    return [shlex.join(task.command()) for task in tasks if not task.finished]
