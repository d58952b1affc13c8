"""Many runs from one file: a grid of flags and seeds."""

from __future__ import annotations

import csv
import itertools
import math
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routed_rl.sweeps import processes
from routed_rl.training import builder
from routed_rl.training.checkpoints import LAST
from routed_rl.training.settings import DEFAULT_AGENT
from routed_rl.utils import settings
from routed_rl.utils.errors import UserError, nearest, one_line
from routed_rl.utils.files import locked, parse_json
from routed_rl.utils.imports import absolute

Flags = dict[str, Any]
"""Names of flags, without dashes -> values."""
PARTS = {"seeds", "flags", "agents", "world", "grid"}
"""Of a sweep's file."""
MOST_RUNS = 10_000
"""Of a sweep: a few more values in each of its lists would take for ever to read."""


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
            result = parse_json((self.folder / "result.json").read_text())
            return result["env_steps"] >= self.steps
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def started(self) -> bool:
        """Whether there is something to resume."""
        return (self.folder / "checkpoints" / LAST).exists()

    def check(self) -> None:
        """Raise UserError if its folder holds a run of other settings; the steps may grow."""
        if not self.started:
            return
        wanted = settings.flatten(self.settings)
        there = settings.flatten(builder.settings_of(self.folder))
        if wanted.keys() - there.keys():
            # An older run: it had what is the default of a newer setting.
            path = str(self.folder / "config.yaml")
            whole = builder.build(("--config", path)).config.to_plain()
            there = settings.flatten(whole) | there
        for name, value in wanted.items():
            was = there.get(name, value)
            # An older run has a file's path as it was given, in this folder as ever.
            if name != "steps" and value not in (was, _absolute(was)):
                raise UserError(
                    f"{self.folder} was run with {name} {was}, and now it would be "
                    f"{value}: remove that folder, or give --out another."
                )

    def arguments(self) -> list[str]:
        """Say by which arguments of `python -m routed_rl` it is done, or gone on with."""
        if self.started:
            return ["train", "--resume", str(self.folder), "--steps", str(self.steps)]
        return ["train", *self.flags, "--run-dir", str(self.folder)]

    def env_steps(self) -> int:
        """Say how far it has come."""
        try:
            with (self.folder / "metrics.csv").open() as file:
                return int(float(list(csv.reader(file))[-1][0]))
        except (OSError, ValueError, IndexError):
            return 0

    def execute(self) -> str | None:
        """Do it, unless it is done; return None, or the last line of what went wrong."""
        if self.finished:  # by a node that was lost before it could say so
            return None
        if self.folder.exists() and not self.started:
            try:  # a run that was killed before its first checkpoint
                with locked(self.folder):
                    shutil.rmtree(self.folder)
            except (UserError, OSError) as error:
                return str(error)
        try:
            # Hundreds of pages would take more room than all else that the runs leave.
            code, said = processes.run([*self.arguments(), "--no-page"])
        except Exception as error:  # whatever it is, other runs go on
            return f"{type(error).__name__}: {one_line(error)}"
        if code == 0:
            return None
        lines = [line for line in said.splitlines() if line.strip()]
        return f"exit code {code}: {lines[-1] if lines else 'it said nothing'}"


def read(path: Path, out: Path | None) -> list[Task]:
    """Read a sweep.

    Args:
        path: a toml file with `seeds`, `flags` of every run, and tables `[[grid]]` whose lists are
            multiplied. If it has tables `[[world]]`, each grid is run in each of them; their lists
            are values of one flag. A table `[agents.NAME]` has flags of that agent's runs.
        out: the folder for its runs; runs/NAME unless given.

    Raises:
        UserError: if the file is not there, or not what it should be, or a run in the folder had
            other settings.
    """
    plain = _read_toml(path)
    common: Flags = plain.get("flags", {})
    seeds: list[int] = plain.get("seeds", [0])
    worlds: list[Flags] = plain.get("world", [{}])
    points = [w | point for w in worlds for grid in plain["grid"] for point in _points(grid)]
    default = {"agent": common.get("agent", DEFAULT_AGENT)}
    known = {(default | point)["agent"] for point in points}
    unknown = [name for name in plain.get("agents", {}) if name not in known]
    if unknown:
        raise UserError(
            f"{path} has [agents.{unknown[0]}], an agent that no run has. "
            f"{nearest(unknown[0], known)}"
        )
    of_agents: dict[str, Flags] = plain.get("agents", {})
    whole = [common | of_agents.get((default | point)["agent"], {}) | point for point in points]
    first = {"seed": seeds[0]}
    meant = [builder.build(settings.to_flags(flags | first)) for flags in whole]
    folder = out or Path("runs") / path.stem
    tasks: dict[str, Task] = {}
    # All points of one seed come before the next, so that a part of a sweep can be read.
    runs = zip(points, whole, meant, strict=True)
    for seed, (point, given, setup) in itertools.product(seeds, runs):
        flags = tuple(settings.to_flags(given | {"seed": seed}))
        name = _name(default | point, seed)
        own = setup.config.to_plain() | {"seed": seed}
        task = tasks.setdefault(name, Task(folder / name, flags, own))
        if set(task.flags) != set(flags):
            raise UserError(
                f"{path}: two runs are both called {name}: give each other values or another agent."
            )
    for task in tasks.values():
        task.check()
    return list(tasks.values())


def commands(tasks: Sequence[Task]) -> list[str]:
    """Write the command of every run that is not finished, for any other queue."""
    program = [sys.executable, "-m", "routed_rl"]
    return [shlex.join([*program, *task.arguments()]) for task in tasks if not task.finished]


def _read_toml(path: Path) -> dict[str, Any]:
    """Read a sweep's file.

    Raises:
        UserError: unless it has the parts that it should have.
    """
    try:
        plain = tomllib.loads(path.read_text("utf-8-sig"))  # some editors mark their files
        settings.demand_few(plain)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}. Give a file such as sweeps/quick.toml."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8: save it so.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no toml file: {error}.") from None
    wrong = next(itertools.chain(_faults(plain), _faults_within(plain)), "")
    if wrong:
        raise UserError(
            f"{path} {wrong}: a sweep has `seeds` (a list), `flags`, tables [[grid]] and maybe "
            "[[world]] and [agents.NAME]."
        )
    return plain


def _faults(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a sweep."""
    unknown = sorted(set(plain) - PARTS)
    if unknown:
        yield f"has {', '.join(unknown)}"
    for name, usual in (("grid", None), ("world", [{}])):
        tables = plain.get(name, usual)
        are_tables = isinstance(tables, list) and all(isinstance(x, dict) for x in tables)
        if not tables or not are_tables:
            yield f"has no table [[{name}]]"
    flags = plain.get("flags", {})
    if not isinstance(flags, dict):
        yield f"has flags {flags}, which are no table"
    agents = plain.get("agents", {})
    if not isinstance(agents, dict) or not all(isinstance(x, dict) for x in agents.values()):
        yield f"has agents {agents}, which are no tables"
    elif any("agent" in table for table in agents.values()):
        yield 'has agent in a table [agents.NAME]; write "agent.FLAG" in quotes'
    seeds = plain.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(isinstance(x, int) for x in seeds):
        yield f"has seeds {seeds}, which is no list of numbers"


def _faults_within(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong in tables that are tables."""
    for table in (plain.get("flags", {}), *plain.get("world", [{}]), *plain["grid"]):
        for agent in _listed(table.get("agent", [])):
            if not isinstance(agent, str):
                yield f"has the agent {agent!r}, which is no word"
    if (runs := _count(plain)) > MOST_RUNS:
        yield f"has {runs:,} runs, and {MOST_RUNS:,} are the most"


def _count(plain: Mapping[str, Any]) -> int:
    """Count the runs of a sweep without writing them out."""
    points = [math.prod(map(len, map(_listed, table.values()))) for table in plain["grid"]]
    return len(plain.get("seeds", [0])) * len(plain.get("world", [{}])) * sum(points)


def _absolute(value: Any) -> Any:
    """Write files among a setting's values with their whole paths."""
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    return absolute(value) if isinstance(value, str) else value


def _points(table: Flags) -> Iterator[Flags]:
    """Multiply the lists of a table: one value of each for every run."""
    for values in itertools.product(*map(_listed, table.values())):
        yield dict(zip(table, values, strict=True))


def _listed(value: Any) -> list[Any]:
    """Return the values of a flag in a table: one for each run, or one for all."""
    return value if isinstance(value, list) else [value]


def _name(chosen: Flags, seed: int) -> str:
    """Name a run after what was chosen for it."""
    flags = {flag: value for flag, value in chosen.items() if flag != "agent"}
    return settings.to_name([str(chosen["agent"])], flags, seed)
