"""Run folders and checkpoints: written whole or not at all, loaded without running code, locked while in use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from routed_rl.config import UserError

LAST = "last.pt"
"""The checkpoint that a run goes on from."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`; whatever interrupts it, the file is the old one or the new.

    A last.pt that was there stays beside it as previous.pt.
    """
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if path.name == LAST and path.exists():
        path.replace(path.with_name("previous.pt"))
    temporary.replace(path)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote. Only tensors and plain values are accepted: no code in the file is run.

    Raises:
        UserError: if the file is missing, truncated or not a checkpoint of ours.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}: give the folder of a run that has saved one.") from None
    except Exception as error:  # torch raises many kinds for a broken file
        previous = path.with_name("previous.pt")
        remedy = f"copy {previous} over it" if previous.exists() and path.name == LAST else "start a new run"
        reason = str(error).strip().splitlines()[0].rstrip(".")[:80] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} is no readable checkpoint ({reason}): {remedy}.") from None
    if not isinstance(state, dict) or "agent" not in state or "env_steps" not in state:
        raise UserError(f"{path} is not a checkpoint of this program: give one that train.py wrote.")
    return state


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, so that no two trainings write into it.

    Raises:
        UserError: if another process holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another training is writing into {folder}: wait for it, or give a new --run-dir."
            ) from None
        yield
