"""`plot`: draw figures and tables from a folder of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routed_rl.utils import settings
from routed_rl.utils.arguments import split_path
from routed_rl.utils.errors import UserError, nearest


@dataclass(frozen=True)
class PlotSettings:
    """What to draw."""

    out: Path | None = None
    """Folder for the figures; FOLDER/figures unless given."""
    against: str | None = None
    """A method; tables also say by how much the others are above it, paired by seed."""


def plot(args: Sequence[str], prog: str = "plot.py") -> int:
    """Draw figures and tables from a folder of runs."""
    path, flags = split_path(args)
    description = (
        f"Draw figures and tables from a folder of runs.\n\nusage: {prog} FOLDER [OPTIONS]"
    )
    asked = settings.parse(PlotSettings, flags, prog=prog, description=description)
    if path is None or not path.is_dir():
        wrong = "no folder was given" if path is None else f"there is no folder {path}"
        raise UserError(
            f"{wrong}: give one with runs in it, as sweep.py and train.py make under runs/."
        )
    from routed_rl.experiments import figures, results  # matplotlib and scipy take a second

    runs, left_out = results.load(path)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}.")
    if not runs:
        raise UserError(f"{path} has no finished run: give the folder that a sweep wrote.")
    methods = {run.method for run in runs}
    if asked.against is not None and asked.against not in methods:
        suggestion = nearest(asked.against, methods)
        raise UserError(f"there is no method {asked.against!r}. {suggestion}")
    out = asked.out or path / "figures"
    files = figures.draw(runs, out, asked.against)
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    print(f"{count}, {len(files)} files in {out}.")
    return 0
