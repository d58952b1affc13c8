"""Runs tests on a mutant: in a fork of a process that has imported them all.

A function's mutant gets its code by exchange, so that nothing is imported again. What runs at
import is changed for a process that has not imported this project yet.
"""

from __future__ import annotations

import gc
import importlib.machinery
import inspect
import json
import marshal
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from types import CodeType, FrameType, FunctionType
from typing import Any

import hypothesis
import pytest

SURVIVED = "survived"
_OPTIONS = (
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-p",
    "no:faulthandler",
    "--tb=native",
    "-m",
)


@dataclass(frozen=True)
class Job:
    """A mutant to try: its code, where that belongs, and the tests in their order."""

    path: str
    module: str
    scope: str
    code: bytes
    """Marshalled."""
    tests: Sequence[str]
    seconds: float
    """Processor time that is more than enough for the unchanged code."""
    marks: str
    """Which tests pytest selects."""


def forked(work: Callable[[], Any], seconds: float) -> Any:
    """Return what work, done in a fork, returns as JSON; a string if the fork did not live.

    Raises:
        RuntimeError: if the work itself went wrong, which is no test that fails.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            _limit(seconds)
            _silence(1, 2)
            _write(write, work())
        except Exception:
            _write(write, [traceback.format_exc()])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(said) if said else "killed: no end, or no life"
    if isinstance(answer, list):
        raise RuntimeError(answer[0])
    return answer


def _write(pipe: int, said: Any) -> None:
    with os.fdopen(pipe, "w") as file:
        json.dump(said, file)


def _limit(seconds: float) -> None:
    """End this process after so much work, or ten times as long."""
    whole = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * whole)


def _silence(*streams: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(null, stream)


_failures: list[str] = []
"""Of the test that was run last."""


class Tests:
    """A plugin of pytest: instead of running what it collected, hands it to a function."""

    def __init__(self, use: Callable[[dict[str, pytest.Item]], None]) -> None:
        """Remember what to do with the tests, by their names."""
        self._use = use

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note why a test failed."""
        if report.failed:
            _failures.append(report.longreprtext or "for no reason")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Use the tests."""
        if session.testsfailed:
            raise session.Interrupted("tests cannot be collected")
        self._use({item.nodeid: item for item in session.items})
        return True


def collect(
    paths: Sequence[str], marks: str, use: Callable[[dict[str, pytest.Item]], None]
) -> None:
    """Collect tests with these marks and use them."""
    # Nothing that a mutant fails on is to be kept for the next one.
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    options = [*_OPTIONS, marks, "--hypothesis-profile", "mutants"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    pytest.main([*options, *paths], plugins=[Tests(use)])


def failing(items: Sequence[pytest.Item]) -> str:
    """Run tests until one fails; return its name, or SURVIVED."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        if _failure(item, following):
            return item.nodeid
    return SURVIVED


def _failure(item: pytest.Item, following: pytest.Item | None = None) -> str:
    """Run a test; return why it failed, or nothing."""
    _failures.clear()
    # By the hook, since that is where pytest minds the warnings that a test allows.
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    return "".join(_failures)


def coverage(
    items: Mapping[str, pytest.Item], files: Sequence[str]
) -> dict[str, tuple[float, dict[str, list[int]]]] | str:
    """Return for each test how long it takes, and which lines it runs of which files.

    If one fails, its name and why.
    """
    found = {}
    for name, item in items.items():
        _forget()
        lines: dict[str, set[int]] = {file: set() for file in files}
        tracer = _tracer(lines)
        began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        threading.settrace(tracer)
        sys.settrace(tracer)
        failure = _failure(item)
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - began
        if failure:
            return f"{name}: {failure}"
        found[name] = seconds, {file: sorted(seen) for file, seen in lines.items() if seen}
    return found


def _forget() -> None:
    """Clear what functions keep of earlier calls: else their lines were the first test's alone."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "routed_rl":
            for thing in vars(module).values():
                if hasattr(thing, "cache_clear"):
                    thing.cache_clear()


def _tracer(lines: Mapping[str, set[int]]) -> Any:
    def trace(frame: FrameType, event: str, _: Any) -> Any:
        seen = lines.get(frame.f_code.co_filename)
        if seen is None:
            return None
        seen.add(frame.f_lineno)
        return trace

    return trace


def exchange(job: Job) -> bool:
    """Give a function the code of a mutant; return whether that can be done."""
    live: Any = sys.modules.get(job.module)
    names = job.scope.split(".")
    for name in names:
        live = inspect.getattr_static(live, name, None)
    live = getattr(live, "fget", None) or getattr(live, "func", None) or live
    live = inspect.unwrap(getattr(live, "__func__", live))
    code = next((c for c in _codes(marshal.loads(job.code)) if c.co_qualname == job.scope), None)
    if not isinstance(live, FunctionType) or code is None:
        return False
    if live.__code__.co_qualname != job.scope or live.__code__.co_freevars != code.co_freevars:
        return False
    live.__code__ = code
    return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class Server:
    """A process with all tests of some files, which forks for each mutant."""

    def __init__(self, paths: Sequence[str], marks: str) -> None:
        """Begin; `paths` hold the tests."""
        self._pipe, other = Pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                self._pipe.close()
                _silence(1)
                collect(paths, marks, partial(_serve, other))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        other.close()

    def ask(self, question: Any) -> Any:
        """Return the answer to a job, or to a list of files: what covers them."""
        self._pipe.send(question)
        return self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        os.waitpid(self._child, 0)


def _serve(pipe: Any, items: Mapping[str, pytest.Item]) -> None:
    """Answer until there are no more questions."""
    gc.collect()
    gc.freeze()  # else the first collection in each fork would copy all memory
    while (question := pipe.recv()) is not None:
        if isinstance(question, Sequence):
            pipe.send(forked(partial(coverage, items, question), 3600))
        else:
            pipe.send(forked(partial(_exchanged, question, items), question.seconds))


def _exchanged(job: Job, items: Mapping[str, pytest.Item]) -> str | None:
    """Return which test fails on a mutant; None if its function is out of reach."""
    return failing([items[name] for name in job.tests]) if exchange(job) else None


def imported(job: Job) -> str:
    """Run tests where a module is imported with a mutant's code, and return what failed."""

    def work() -> str:
        said = ["killed: tests cannot be imported"]
        original = importlib.machinery.SourceFileLoader.get_code

        def get_code(loader: Any, name: str) -> CodeType | None:
            return marshal.loads(job.code) if loader.path == job.path else original(loader, name)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]

        def run(items: dict[str, pytest.Item]) -> None:
            said[0] = failing([items[name] for name in job.tests])

        collect(sorted({name.partition("::")[0] for name in job.tests}), job.marks, run)
        return said[0]

    return forked(work, job.seconds + 20)
