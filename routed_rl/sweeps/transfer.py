"""Run a sweep's task on another machine, which may or may not see the sweep's folder.

Where it does, the run is written there. Where it does not, the run's files travel: those of a run
that goes on are sent along, and all come back when it has ended.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from routed_rl.sweeps.sweep import Task
from routed_rl.training.checkpoints import LAST
from routed_rl.training.run_folder import RESULT
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import locked

_WAIT = 60.0
"""Seconds in which a run that lost its node saves and stops."""


@contextmanager
def shown_in(folders: Set[Path]) -> Iterator[str]:
    """Put a sign into folders, by which another machine knows that it sees them; yield its name."""
    name = f".seen-{uuid.uuid4().hex}"
    signs = [folder / name for folder in folders]
    for sign in signs:
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
    try:
        yield name
    finally:
        for sign in signs:
            sign.unlink(missing_ok=True)


def execute(task: Task, files: bytes | None, sign: str) -> tuple[str | None, bytes | None]:
    """Do a task on this machine.

    Args:
        task: what to do.
        files: of a run that goes on.
        sign: the name of a file in the sweep's folder, if this machine sees that.

    Returns:
        What went wrong, if anything; and the run's files, if they are not in the sweep's folder.
    """
    if (task.folder.parent / sign).exists():
        _wait_for(task.folder)
        return task.execute(), None
    with tempfile.TemporaryDirectory() as folder:
        here = replace(task, folder=Path(folder, task.name))
        unpack(files, here.folder)
        error = here.execute()
        return error, _packed(here.folder)


def pack(task: Task) -> bytes | None:
    """Return the files of a run that goes on, else None."""
    return _packed(task.folder) if task.started else None


def unpack(files: bytes | None, folder: Path) -> None:
    """Write a run's files into its folder, if there are any; whatever interrupts it, each whole."""
    if files is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".arriving-", dir=folder) as there:
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(there, filter="data")
        arrived = [path for path in Path(there).rglob("*") if path.is_file()]
        # What the run goes on from comes behind its logs, and its result behind that.
        for path in sorted(arrived, key=lambda path: (path.name == RESULT, path.name == LAST)):
            place = folder / path.relative_to(there)
            place.parent.mkdir(exist_ok=True)
            path.replace(place)


def _packed(folder: Path) -> bytes | None:
    """Return the files of a folder, if it is there."""
    if not folder.exists():
        return None
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        archive.add(folder, ".")
    return written.getvalue()


def _wait_for(folder: Path) -> None:
    """Let a run end that lost its node, if it is still in its folder."""
    until = time.monotonic() + _WAIT
    while folder.exists() and time.monotonic() < until:
        try:
            with locked(folder):
                return
        except UserError:
            time.sleep(0.2)
