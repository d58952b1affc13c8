"""`plot`: draw figures and tables from a folder of runs, or from one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routed_rl.utils import settings
from routed_rl.utils.errors import UserError, nearest, printable
from routed_rl.utils.settings import split_path


@dataclass(frozen=True)
class PlotSettings:
    """What to draw."""

    out: Path | None = None
    """Folder for the figures; FOLDER/figures unless given."""
    against: str | None = None
    """A method; tables also say by how much the others are above it, paired by seed."""


def plot(args: Sequence[str], prog: str = "plot.py") -> int:
    """Draw figures and tables from a folder of runs, or from one run."""
    path, flags = split_path(args)
    description = (
        "Draw figures and tables from a folder of runs, or the learning curves of one run.\n\n"
        f"usage: {prog} FOLDER [OPTIONS]"
    )
    asked = settings.parse(PlotSettings, flags, prog=prog, description=description)
    if path is None or not path.is_dir():
        wrong = "no folder was given" if path is None else f"there is no folder {path}"
        raise UserError(
            f"{wrong}: give one with runs in it, as sweep.py and train.py make under runs/."
        )
    from routed_rl.experiments import results  # matplotlib and scipy take a second

    out = asked.out or path / results.FIGURES
    if results.is_run(path):
        _plot_run(path, out, asked.against)
    else:
        _plot_runs(path, out, asked.against)
    return 0


def _plot_runs(path: Path, out: Path, against: str | None) -> None:
    """Draw what all runs in a folder allow, and print what they return."""
    from routed_rl.experiments import figures, results, tables

    runs, left_out = results.load(path)
    if not runs and results.is_figures(path):
        raise UserError(
            f"{path} has figures in it, and no runs: give the folder of the runs, "
            f"such as {path.resolve().parent}."
        )
    for name, why in left_out.items():
        print(printable(f"left out: {name}: {why}."))
    if not runs:
        raise UserError(f"{path} has no finished run: give the folder that a sweep wrote.")
    methods = {run.method for run in runs}
    if against is not None and against not in methods:
        raise UserError(f"there is no method {against!r}. {nearest(against, methods)}")
    files = figures.draw(runs, out, against)
    tables.print_tables(runs, against)
    print("1 run." if len(runs) == 1 else f"{len(runs)} runs.", end=" ")
    _list(files, out)


def _plot_run(path: Path, out: Path, against: str | None) -> None:
    """Draw the learning curves of one run, and print what its policies do."""
    from routed_rl.evaluation.terminal import Table, print_reports
    from routed_rl.experiments import single_run

    if against is not None:
        raise UserError(f"--against compares methods, and {path} is one run.")
    run = single_run.read_run(path)
    result = run.result
    files = single_run.draw_run(run, out)
    print_reports(result["policies"], result["references"], Table(run.title, result["deployed"]))
    _list(files, out)


def _list(files: Sequence[Path], out: Path) -> None:
    """Say which files were written, and where."""
    print(f"{len(files)} files in {out}:")
    for name in dict.fromkeys(file.stem for file in files if file.parent == out):
        kinds = ", ".join(file.suffix for file in files if file == out / f"{name}{file.suffix}")
        print(f"  {name} ({kinds})")
    deeper = Counter(file.parent.name for file in files if file.parent != out)
    for folder, count in deeper.items():
        print(f"  {folder}/ ({count} files)")
