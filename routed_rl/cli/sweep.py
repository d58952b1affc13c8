"""`sweep`: run every experiment of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routed_rl.sweeps import launchers
from routed_rl.sweeps import sweep as files
from routed_rl.utils import settings
from routed_rl.utils.errors import UserError
from routed_rl.utils.settings import split_path


@dataclass(frozen=True)
class SweepSettings(launchers.RayOptions):
    """How to run a sweep."""

    out: Path | None = None
    """Folder for the runs; runs/NAME unless given."""
    launcher: launchers.Launcher = "local"
    """local: processes of this machine. ray: tasks of Ray, if it is installed."""
    jobs: int = max(os.cpu_count() or 1, 1)
    """How many runs at a time (local); each has one thread."""
    print_commands: bool = False
    """Print the commands of all unfinished runs and run none: for any other queue."""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}: it must be at least 1.")
        for name in ("cpus", "gpus", "retries"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 0.")


def sweep(args: Sequence[str], prog: str = "sweep.py") -> int:
    """Run every experiment of a file."""
    path, flags = split_path(args)
    description = f"Run every experiment of a file.\n\nusage: {prog} FILE.toml [OPTIONS]"
    asked = settings.parse(SweepSettings, flags, prog=prog, description=description)
    if path is None:
        raise UserError(f"no sweep was given: {prog} sweeps/quick.toml [OPTIONS].")
    tasks = files.read(path, asked.out)
    if asked.print_commands:
        print("\n".join(files.commands(tasks)))
        return 0
    failed = launchers.run(tasks, launcher=asked.launcher, jobs=asked.jobs, on_ray=asked)
    folder = tasks[0].folder.parent
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    done = len(tasks) - len(failed)
    print(f"{done} of {len(tasks)} runs are in {folder}. Figures: python plot.py {folder}")
    return 1 if failed else 0
