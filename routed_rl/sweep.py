"""Many runs from one file: a grid of flags and seeds."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routed_rl import checkpoint, config
from routed_rl.config import UserError
from routed_rl.settings import DEFAULT_AGENT


@dataclass(frozen=True)
class Task:
    """One run of a sweep."""

    folder: Path
    flags: tuple[str, ...]
    settings: Mapping[str, Any]
    """What the flags mean, as its config.yaml holds it."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.folder.name

    @property
    def steps(self) -> int:
        """How many environment steps it shall have."""
        return self.settings["steps"]

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

    def check(self, settings_of: Callable[[Sequence[str]], dict[str, Any]]) -> None:
        """Raise UserError if its folder holds a run with other settings, but for the steps, which may grow."""
        if not self.started:
            return
        path, wanted = self.folder / "config.yaml", config.flatten(self.settings)
        there = config.flatten(config.read_yaml(path))
        if wanted.keys() - there.keys():  # an older run: it had what is the default of a newer setting
            there = config.flatten(settings_of(("--config", str(path)))) | there
        for name, value in wanted.items():
            if name != "steps" and there.get(name, value) != value:
                raise UserError(
                    f"{self.folder} was run with {name} {there[name]}, and now it would be {value}: "
                    "remove that folder, or give --out another."
                )

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
        if self.folder.exists() and not self.started:  # a run that was killed before its first checkpoint
            try:
                with checkpoint.locked(self.folder):
                    shutil.rmtree(self.folder)
            except UserError as error:
                return str(error)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(self.command(), capture_output=True, text=True, env=environment, check=False)
        if done.returncode == 0:
            return None
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return f"exit code {done.returncode}: {lines[-1] if lines else 'it said nothing'}"


def read(path: Path, out: Path | None, settings_of: Callable[[Sequence[str]], dict[str, Any]]) -> list[Task]:
    """Read a sweep.

    Args:
        path: a toml file with `seeds`, `flags` of every run, and tables `[[grid]]` whose lists are multiplied. If it
            has tables `[[world]]`, each grid is run in each of them; their lists are values of one flag.
        out: the folder for its runs; runs/NAME unless given.
        settings_of: says what flags mean, as config.yaml holds it; raises UserError if one is wrong.

    Raises:
        UserError: if the file is not there, or not what it should be, or a run in the folder had other settings.
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
    meant = [
        settings_of(tuple(config.to_flags(plain.get("flags", {}) | point | {"seed": seeds[0]}))) for point in points
    ]
    for seed, (chosen, settings) in itertools.product(seeds, zip(points, meant, strict=True)):  # whole seeds first
        flags = tuple(config.to_flags(plain.get("flags", {}) | chosen | {"seed": seed}))
        name = _name({"agent": plain.get("flags", {}).get("agent", DEFAULT_AGENT)} | chosen, seed)
        task = tasks.setdefault(name, Task(folder / name, flags, settings | {"seed": seed}))
        if set(task.flags) != set(flags):
            raise UserError(f"{path}: two runs are both called {name}: give each other values or another agent.")
    for task in tasks.values():
        task.check(settings_of)
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


def _points(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Multiply the lists of a table: one value of each for every run."""
    lists = [value if isinstance(value, list) else [value] for value in table.values()]
    for values in itertools.product(*lists):
        yield dict(zip(table, values, strict=True))


def _name(chosen: dict[str, Any], seed: object) -> str:
    """Name a run after what was chosen for it."""
    words = [str(chosen["agent"])]
    for flag, value in chosen.items():
        short = flag.split(".")[-1]
        value = "+".join(map(str, value)) if isinstance(value, list) else value
        if flag != "agent":
            words.append(short if value is True else f"no-{short}" if value is False else f"{short}-{value}")
    return re.sub(r"[^\w.,=+-]+", "-", "_".join([*words, f"seed-{seed}"]))


def commands(tasks: Sequence[Task]) -> list[str]:
    """Write the command of every run that is not finished, for any other queue."""
    return [shlex.join(task.command()) for task in tasks if not task.finished]
