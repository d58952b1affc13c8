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
    if folder is None:
        raise UserError(f"no folder was given: {prog} FOLDER.")

    from routed_rl.pages.report import report as write  # scipy takes a second

    print(f"Wrote {write(folder)}: open it in a browser.")
    return 0
