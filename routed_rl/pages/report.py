"""The page of whatever a folder holds: a run, many runs, or a quarantine's dials."""

from __future__ import annotations

from pathlib import Path

from routed_rl.pages import dial_page, folder_page, run_page
from routed_rl.training.run import load
from routed_rl.utils.errors import UserError, one_line


def report(folder: str | Path) -> Path:
    """Write a page that shows a run, or a folder of runs.

    Args:
        folder: of a finished run, or one with runs in it; or with what `examples/quarantine.py`
            leaves.

    Returns:
        The page, `report.html` in that folder: one file that asks no network for anything.

    Raises:
        UserError: if there is no finished run, or a file of it cannot be read.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"there is no folder {path}: give a run, or a folder with runs in it.")
    try:
        if (path / "config.yaml").exists():
            return run_page.write(load(path))
        if dials := dial_page.runs_in(path):
            return dial_page.write(path, dials)
        return folder_page.write(path)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path}: a file of it cannot be read ({one_line(error)}).") from error
