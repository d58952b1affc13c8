"""What no input may do: the rules, and one function that holds a call to all of them.

Python tells an audit hook of each file that is opened to be written, of each name that is changed,
of each module of code that is run, and of each process and connection. A hook can never be removed:
it looks away unless a call is being watched.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import ROOT

SECONDS = 10
"""No input may take longer."""
MOST_MEMORY = 2 * 2**30
"""Bytes that a process may have held at any time."""
REACHES_OUT = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "webbrowser.open"),
    *("ctypes.dlopen", "pickle.find_class"),
)
"""What no command does because of an input. torch's own reader of checkpoints does not unpickle."""
PATHS = {
    **dict.fromkeys(("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
}
"""Event that changes files -> how many of its arguments are their names."""
OWN_CODE = tuple(
    {str(ROOT), sys.prefix, *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib"))}
)
"""Where code may lie that is run whatever the input is."""
GENERATORS = {"dataclasses", "collections", "enum", "typing", "attr._make", "torch._jit_internal"}
"""Modules that write code themselves and run it."""


class Broken(Exception):  # noqa: N818 (no error of the program under test, but a rule's)
    """A rule was broken."""


@dataclass
class _Watch:
    """What is being watched, if anything is."""

    active: bool = False
    folder: str = ""
    code: bool = False
    held: int = 0  # bytes, at most so far
    broken: list[str] = field(default_factory=list)


_watch = _Watch()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Refuse what no input may do, and note it: whoever asked for it may hide the refusal."""
    if not _watch.active or event == "import":
        return
    fault = _fault(event, args)
    if fault:
        _watch.broken.append(fault)
        raise Broken(fault)


sys.addaudithook(_hook)


def _fault(event: str, args: tuple[Any, ...]) -> str | None:
    """Say what is wrong with an event, if something is."""
    if event in REACHES_OUT:
        return f"{event} {args[:2]!r}"
    if event == "open":
        path, mode, flags = args
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or "w" in (mode or "")
        return f"wrote {path!r}" if writes and _is_outside(path) else None
    for path in args[: PATHS.get(event, 0)]:
        if _is_outside(path):
            return f"{event} {path!r}"
    if event == "exec" and not _watch.code:
        return _foreign(args[0].co_filename)
    return None


def _is_outside(path: Any) -> bool:
    """Say whether a path, if it is one, lies outside the folder that was named."""
    if isinstance(path, int) or os.fsdecode(path).startswith(os.devnull):
        return False  # nothing can be kept there
    real = os.path.realpath(os.fsdecode(path))
    return real != _watch.folder and not real.startswith(_watch.folder + os.sep)


def _foreign(file: str) -> str | None:
    """Say so if code is neither ours nor an installed library's."""
    if file.startswith((*OWN_CODE, "<frozen")) and not file.startswith(_watch.folder):
        return None
    frame: Any = sys._getframe(3)
    if frame.f_globals.get("__name__") in GENERATORS:
        return None
    return f"ran code of {file}"


def _late(*_: object) -> None:
    """Say that an input took too long."""
    raise Broken(f"took over {SECONDS} seconds")


@contextmanager
def watching(folder: Path, *, code: bool = False) -> Iterator[None]:
    """Hold what happens to the rules.

    Args:
        folder: the one that may be written into.
        code: whether what is read is code, to be run.

    Raises:
        Broken: if a rule was broken, also where the program went on as if nothing were wrong.
    """
    _watch.folder, _watch.code = os.path.realpath(folder), code
    _watch.broken.clear()
    former = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _watch.active = True
    try:
        yield
    finally:
        _watch.active = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    if _watch.broken:
        raise Broken(_watch.broken[0])
    before = _watch.held
    _watch.held = held = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if held > max(MOST_MEMORY, before):
        raise Broken(f"held {held / 2**30:.1f} GB")
