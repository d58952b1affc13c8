"""A small run that was really trained: its files, to be changed."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from calls import NO_COMMIT, replaced
from helpers import train_tiny


def _trained() -> dict[str, bytes]:
    """Return the files of a run that somebody or something may change, by their names."""
    with tempfile.TemporaryDirectory() as folder, replaced(NO_COMMIT):
        path = Path(folder) / "one"
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            train_tiny(path)
        files = [*path.glob("*.[jtyc]*"), *path.glob("checkpoints/*.pt")]
        return {str(file.relative_to(path)): file.read_bytes() for file in files}


FILES = _trained()
