"""`plot`: draw figures and tables from a folder of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routed_rl import config
from routed_rl.config import UserError


@dataclass(frozen=True)
class PlotSettings:
    """What to draw."""

    out: Path | None = None
    """Folder for the figures; FOLDER/figures unless given."""
    against: str | None = None
    """A method; tables also say by how much the others are above it, paired by seed."""


def plot(args: Sequence[str], prog: str = "plot.py") -> int:
    """Draw figures and tables from a folder of runs."""
    from routed_rl import plotting, results  # matplotlib and scipy take a second

    path, args = (Path(args[0]), args[1:]) if args and not args[0].startswith("-") else (None, args)
    description = f"Draw figures and tables from a folder of runs.\n\nusage: {prog} FOLDER [OPTIONS]"
    settings = config.parse(PlotSettings, args, prog=prog, description=description)
    if path is None or not path.is_dir():
        wrong = "no folder was given" if path is None else f"there is no folder {path}"
        raise UserError(f"{wrong}: give one with runs in it, as sweep.py and train.py make under runs/.")
    runs, left_out = results.load(path)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}.")
    if not runs:
        raise UserError(f"{path} has no finished run: give the folder that a sweep wrote.")
    methods = {run.method for run in runs}
    if settings.against is not None and settings.against not in methods:
        raise UserError(f"there is no method {settings.against!r}. {config.nearest(settings.against, methods)}")
    out = settings.out or path / "figures"
    files = plotting.draw(runs, out, settings.against)
    print(f"{len(runs)} runs, {len(files)} files in {out}.")
    return 0
