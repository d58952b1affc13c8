"""Files that are written whole or not at all and read with care; folders that one process holds."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from routed_rl.utils.errors import UserError


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write beside `path`, and return that temporary file; `.replace(path)` puts it in its place.

    Whatever interrupts this, the file at `path` is the old one.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path), temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # the content must be on disk before its name is
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode())).replace(path)


def parse_json(text: str | bytes) -> Any:
    """Read json.

    Raises:
        ValueError: if it is none, or nested so deep that nothing of ours wrote it.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def demand(plain: Any, kinds: Mapping[str, type]) -> None:
    """Demand that json has values of these kinds: bool, int, float, str, list or dict.

    A float may be written as an integer, and no number has more than 63 bits.

    Raises:
        KeyError: if one is missing.
        ValueError: if one is of another kind.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"{str(plain)[:80]!r} holds nothing by name")
    for name, kind in kinds.items():
        value = plain[name]
        fits = isinstance(value, int | float if kind is float else kind)
        too_large = isinstance(value, int) and abs(value) >= 2**63
        if not fits or too_large or isinstance(value, bool) != (kind is bool):
            raise ValueError(f"{name} is {str(value)[:80]!r}, and no {kind.__name__}")


def demand_numbers(plain: Any) -> None:
    """Raise ValueError unless json is a dict of numbers."""
    demand(plain, {})
    demand(plain, dict.fromkeys(plain, float))


def append_text(path: Path, text: str) -> None:
    """Add to a file's end; if that is interrupted, its last line may be cut."""
    with naming(path), path.open("a", newline="") as file:
        file.write(text)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file: those of reading and writing name none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def csv_line(values: Iterable[object]) -> str:
    """Write a row of a csv file."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(values)
    return text.getvalue()


def rows_until(path: Path, env_steps: int) -> list[dict[str, str]]:
    """Read the rows of a csv file up to an environment step; none if there is no file.

    A run that goes on from a checkpoint forgets what it logged behind it.
    """
    return [row for row in read_rows(path) if int(row["env_steps"]) <= env_steps]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a csv file that were written whole; none if there is no file."""
    if not path.exists():
        return []
    rows = csv_rows(path)
    return [row for row in rows if row["env_steps"].isdecimal() and None not in row.values()]


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a csv file; one that was cut has None in the place of what it lacks.

    Raises:
        ValueError: if it is none.
    """
    with path.open(newline="") as file:
        try:
            yield from csv.DictReader(file)
        except csv.Error as error:
            raise ValueError(f"{path.name}: {error}") from None


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a csv file whole or not at all."""
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    write_text(path, "".join(map(csv_line, lines)))


LOCK = ".lock"
"""The file that a process holds in a folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, so that no two trainings write into it.

    Raises:
        UserError: if another process holds it.
    """
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = (folder / LOCK).stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            there = None
        if there != os.fstat(file.fileno()).st_ino:  # or who held it has removed it meanwhile
            raise UserError(
                f"another training is writing into {folder}: wait for it, or give a new --run-dir."
            )
        yield
