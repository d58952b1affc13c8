"""`report`: write a page that shows a run, a folder of runs, or a quarantine's dial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routed_rl.utils import settings
from routed_rl.utils.errors import UserError
from routed_rl.utils.settings import split_path


@dataclass(frozen=True)
class ReportSettings:
    """Nothing to set."""


def report(args: Sequence[str], prog: str = "report") -> int:
    """Write report.html into the folder of a run, or of many; say where it is."""
    folder, flags = split_path(args)
    description = f"Write a page that shows a run, or a folder of runs.\n\nusage: {prog} FOLDER"
    settings.parse(ReportSettings, flags, prog=prog, description=description)
    if folder is None or not folder.is_dir():
        wrong = "no folder was given" if folder is None else f"there is no folder {folder}"
        raise UserError(f"{wrong}: give a run, or a folder with runs in it.")

    from routed_rl.pages import dial_page, folder_page, run_page  # scipy takes a second
    from routed_rl.training.run import load

    if (folder / "config.yaml").exists():
        path = run_page.write(load(folder))
    elif dial_page.files_in(folder):
        path = dial_page.write(folder)
    else:
        path = folder_page.write(folder)
    print(f"Wrote {path}: open it in a browser.")
    return 0
