"""Counts what a program does to the files of one folder, and lets one of these operations go wrong.

Files are opened, read, written, synchronised, renamed, linked, removed and locked through Python's
own functions. `Operations` stands in front of these. What the main thread does is counted apart
from what others do, such as TensorBoard's writer: so each count is the same in every run.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

WRITES = {"create", "write", "replace", "rename", "link", "mkdir", "fsync"}
"""Operations that need room."""
CHANGES = WRITES | {"unlink", "remove", "rmdir"}
"""Operations that a disk refuses that may not be written to."""
NAMED = {"open", "create", "replace", "rename", "link", "mkdir", "unlink", "remove", "rmdir"}
"""Operations that need a right."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which operation."""

    kind: str
    at: int
    """Which operation, counted from 0."""
    in_thread: bool = False
    """Whether those of other threads are counted, and not the main thread's."""


class Operations:
    """The operations on one folder's files, in the order in which they are done."""

    ERRORS: ClassVar[dict[str, tuple[int, set[str], bool]]] = {
        "disk full": (errno.ENOSPC, WRITES, True),
        "disk full half-way": (errno.ENOSPC, WRITES, True),
        "read-only disk": (errno.EROFS, CHANGES, True),
        "input/output error": (errno.EIO, CHANGES | {"open", "read", "lock"}, False),
        "no permission": (errno.EACCES, NAMED, False),
    }
    """Kind of a fault -> its number, what it befalls, and whether it stays."""

    AUDITED: ClassVar[dict[str, str]] = {
        **{"open": "open", "create": "open", "replace": "os.rename", "rename": "os.rename"},
        **{"link": "os.link", "unlink": "os.remove", "remove": "os.remove"},
        **{"mkdir": "os.mkdir", "rmdir": "os.rmdir"},
    }
    """Operation -> what Python's audit calls it."""

    def __init__(self, folder: str, fault: Fault | None) -> None:
        """Watch what lies in `folder`, and the folder itself."""
        self.log: list[tuple[str, str, bool]] = []
        """(operation, path, in another thread than the main one)"""
        self._folder = folder
        self._fault = fault
        self._counts = {False: 0, True: 0}
        self._broken = False
        self._busy = threading.RLock()
        self._events = set(self.AUDITED.values())
        self._audited: Counter[str] = Counter()
        self._off = False

    def install(self) -> None:
        """Stand in front of Python's functions, for good."""
        real_open = io.open

        def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not self._is_ours(file):
                return real_open(file, mode, *args, **kwargs)
            return self._open(file, mode, *args, **kwargs)

        sys.addaudithook(self._audit)
        builtins.open = io.open = opened  # type: ignore[assignment]
        for name in ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir"):
            setattr(os, name, self._watched(name, getattr(os, name)))
        os.fsync = lambda _: self.do("fsync", "", lambda: None)  # a killed process needs no disk
        flock = fcntl.flock
        fcntl.flock = lambda file, how: self.do("lock", "", lambda: flock(file, how))

    def check_none_is_missed(self) -> None:
        """Make sure that Python itself has seen no more operations than were counted here."""
        counted = Counter(self.AUDITED[name] for name, _, _ in self.log if name in self.AUDITED)
        assert counted == self._audited, f"{self._audited - counted} went by uncounted"

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Count what Python says that it does."""
        if event in self._events and self._is_ours(args[0]):
            self._audited[event] += 1

    def do(
        self, name: str, path: Any, real: Callable[[], Any], half: Callable[[], Any] | None = None
    ) -> Any:
        """Do an operation, unless it is its turn to go wrong."""
        if self._off:
            return real()
        with self._busy:
            in_thread = threading.current_thread() is not threading.main_thread()
            self.log.append((name, os.path.basename(os.fsdecode(path)), in_thread))
            number = self._counts[in_thread]
            self._counts[in_thread] += 1
        fault = self._fault
        now = fault is not None and (number, in_thread) == (fault.at, fault.in_thread)
        if fault is None or not (now or self._broken):
            return real()
        if fault.kind in self.ERRORS:
            self._refuse(fault.kind, name, path, half if now else None)
        elif now:
            self._before(fault.kind)
        done = real()
        if now and fault.kind == "killed after":
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def _refuse(self, kind: str, name: str, path: Any, half: Callable[[], Any] | None) -> None:
        """Raise what the system would, if it befalls such an operation."""
        number, befalls, stays = self.ERRORS[kind]
        self._broken = stays
        if name not in befalls:
            return
        if half is not None and kind == "disk full half-way":
            half()
        raise OSError(number, os.strerror(number), *([os.fsdecode(path)] if name in NAMED else []))

    def _before(self, kind: str) -> None:
        """Do what befalls a run from outside, just before an operation."""
        if kind == "killed before":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "folder gone":
            self._off = True  # what somebody else does
            with contextlib.suppress(FileNotFoundError):  # it is not there yet
                # At once: what is written during a slow removal would stay, alone.
                os.rename(self._folder, self._folder + ".gone")
            shutil.rmtree(self._folder + ".gone", ignore_errors=True)
            self._off = False
        elif kind == "slow":
            time.sleep(0.02)
        elif kind.startswith("SIG"):
            name, *twice = kind.split()
            for _ in range(2 if twice else 1):
                os.kill(os.getpid(), getattr(signal, name))

    def _is_ours(self, file: Any) -> bool:
        """Say whether a path lies in the folder, or is the folder."""
        if not isinstance(file, str | bytes | os.PathLike):
            return False
        return (os.path.abspath(os.fsdecode(file)) + "/").startswith(self._folder + "/")

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Count the calls of a function of `os` that takes a path of the folder."""

        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._is_ours(path):
                return real(path, *args, **kwargs)
            return self.do(name, path, lambda: real(path, *args, **kwargs))

        return call

    def _open(
        self, file: Any, mode: str = "r", buffering: int = -1, *text: Any, **more: Any
    ) -> Any:
        """Open a file of the folder as `open` does, so that its reads and writes are counted."""
        plain = mode.replace("b", "").replace("t", "")
        name = "open" if plain == "r" else "create"
        raw = self.do(name, file, lambda: _Raw(file, plain))
        raw.operations = self
        if buffering == 0:
            return raw
        kind = io.BufferedReader if plain == "r" else io.BufferedWriter
        buffered: Any = io.BufferedRandom(raw) if "+" in plain else kind(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **more)


class _Raw(io.FileIO):
    """A file whose reads and writes are counted."""

    operations: Operations

    def write(self, data: Any) -> int:
        part = bytes(data)
        half = part[: len(part) // 2]
        write = super().write
        return self.operations.do("write", self.name, lambda: write(part), lambda: write(half))

    def readinto(self, buffer: Any) -> int:
        read = super().readinto
        return self.operations.do("read", self.name, lambda: read(buffer))

    def readall(self) -> bytes:
        read = super().readall
        return self.operations.do("read", self.name, read)
