"""Checkpoints: written whole or not at all, loaded without running code."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from routed_rl.rollouts.attribution import ContractError
from routed_rl.utils.errors import UserError, one_line
from routed_rl.utils.files import naming, write_whole

LAST = "last.pt"
"""The checkpoint that a run goes on from."""
PREVIOUS = "previous.pt"
"""The one before it."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`.

    Whatever interrupts it, the file is the old one or the new. A last.pt that was there stays
    beside it as previous.pt.
    """
    packed = io.BytesIO()  # torch answers a full disk with a failure of its own
    torch.save(state, packed)
    temporary = write_whole(path, lambda file: file.write(packed.getbuffer()))
    if path.name == LAST and path.exists():
        # A second name first: at no moment is there no last.pt.
        second = path.with_name(PREVIOUS + ".tmp")
        second.unlink(missing_ok=True)
        try:
            second.hardlink_to(path)
        except OSError:  # a file system without them
            shutil.copyfile(path, second)
        second.replace(path.with_name(PREVIOUS))
        second.unlink(missing_ok=True)  # where both names were of one file, it stays
    temporary.replace(path)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote.

    Only tensors and plain values are accepted: no code in the file is run.

    Raises:
        UserError: if the file is missing, truncated or not a checkpoint of ours.
    """
    try:
        with naming(path):  # any other error of the disk says nothing of the file
            file = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        remedy = "give the folder of a run that has saved one"
        raise UserError(f"there is no checkpoint {path}: {_remedy(path, remedy)}.") from None
    try:
        _check_sums(file)
        state = torch.load(file, map_location=device, weights_only=True)
        _check_dense(state)
    except Exception as error:  # a broken file raises many kinds
        said = str(error).strip()
        reason = said.splitlines()[0].rstrip(".")[:80] if said else type(error).__name__
        raise UserError(f"{path} is no readable checkpoint ({reason}): {_remedy(path)}.") from None
    if (
        not isinstance(state, dict)
        or "agent" not in state
        or type(state.get("env_steps")) is not int
    ):
        raise UserError(
            f"{path} is not a checkpoint of this program: give one that train.py wrote."
        )
    return _renamed(state)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn whatever a state raises that is loaded where it does not belong into one line."""
    try:
        yield
    except ContractError:
        raise
    except Exception as error:  # a part may be missing, or be anything
        raise UserError(
            f"{path} does not fit config.yaml ({one_line(error, 120)}): "
            "put the file that belongs to it back."
        ) from error


def find(folder: Path, name: str) -> Path:
    """Return the file of a checkpoint.

    Args:
        folder: where a run has its checkpoints.
        name: of one of them, such as "last" and "best_by_labels", or the path of any.

    Raises:
        UserError: if there is none of this name.
    """
    path = folder / f"{name}.pt"
    if path.exists() or path.name == LAST:  # a run without its last one is told by `load`
        return path
    if Path(name).is_file():
        return Path(name).resolve()
    there = ", ".join(sorted(file.stem for file in folder.glob("*.pt"))) or "none"
    raise UserError(f"there is no checkpoint {name!r} in {folder}: there are {there}.")


def is_finite(state: Any) -> bool:
    """Say whether every number in nested dicts and lists of tensors and plain values is finite."""
    numbers = (x for x in _leaves(state) if isinstance(x, float | Tensor))
    return all(bool(torch.as_tensor(x).isfinite().all()) for x in numbers)


def _leaves(state: Any) -> Iterator[Any]:
    """Yield what nested dicts and lists hold in the end."""
    if isinstance(state, Mapping):
        state = [*state.values()]
    if isinstance(state, list | tuple):
        for part in state:
            yield from _leaves(part)
    else:
        yield state


def _check_dense(state: Any) -> None:
    """Raise ValueError for tensors that are sparse: none of ours is, and they can do little."""
    if any(isinstance(x, Tensor) and x.layout != torch.strided for x in _leaves(state)):
        raise ValueError("it holds a sparse tensor")


def _check_sums(file: IO[bytes]) -> None:
    """Raise an exception if a bit of a checkpoint has changed: torch does not look."""
    with zipfile.ZipFile(file) as archive:
        broken = archive.testzip()
        # For what is marked as a folder torch would return whatever lies in memory.
        marked = [record.filename for record in archive.infolist() if record.external_attr]
    if broken is not None or marked:
        raise ValueError(f"{broken or marked[0]} is not as it was saved")
    file.seek(0)


def _remedy(path: Path, otherwise: str = "start a new run") -> str:
    """Say what to do about a checkpoint that is broken or gone."""
    previous = path.with_name(PREVIOUS)
    if previous.exists() and path.name == LAST:
        return f"copy {previous} over it"
    return otherwise


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Give a checkpoint of before version 0.2 the names that its parts have now."""
    renamed = dict(state)
    if "stopping" in renamed:
        renamed["selector"] = renamed.pop("stopping")
    env = renamed.get("env")
    if isinstance(env, dict) and "watched" in env:
        renamed["env"] = {
            "overseen_ends" if name == "watched" else name: value for name, value in env.items()
        }
    return renamed
