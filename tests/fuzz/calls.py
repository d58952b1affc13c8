"""Calls of a command as a shell makes them, held to what is promised of every command."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from guard import Broken, watching
from hypothesis.strategies import SearchStrategy

from routed_rl.cli.main import main
from routed_rl.registry import Registry


@dataclass(frozen=True)
class Target:
    """What is fuzzed: inputs, and what is done with one in a new folder, which is the current one.

    `run` raises whatever is wrong. A person would see it as a traceback, or as a broken promise.
    """

    name: str
    inputs: SearchStrategy[Any]
    run: Callable[[Any], None]
    share: int
    """How many of the inputs are this one's, beside those of the others."""
    instead: Mapping[str, Any] = field(default_factory=dict)
    """Functions that take long, or start a process, and what is put in their place."""


def _begins(*_: Any, **__: Any) -> int:
    """Stand for work that would begin here."""
    raise SystemExit(0)


NO_COMMIT = {"routed_rl.training.run_folder._commit": lambda: "unknown"}
"""git is asked for the commit by a process of its own."""


def _installed() -> Registry:
    """Return the registry as of an installed package: templates go into the current folder."""
    registry = Registry()
    registry.in_checkout = False
    return registry


NO_WORK = {
    "routed_rl.cli.new_env.Registry": _installed,
    "routed_rl.training.run.Run.train": _begins,
    "routed_rl.sweeps.launchers.run": lambda tasks, **_: {},
    "routed_rl.checks.env_checker.check_env": lambda *_: [],
    "routed_rl.checks.agent_checker.check_agent": lambda *_, **__: [],
}
NO_PICTURES = {
    "routed_rl.experiments.figures.draw": lambda *_: [],
    "routed_rl.experiments.single_run.draw_run": lambda *_: [],
}


ANYWHERE = "../../.."
"""The new folder, where names that a person gives may lead."""


def call(*args: str, folder: str | Path = ".", code: bool = False) -> int:
    """Run a command; return its exit code.

    Args:
        args: of `routed-rl`.
        folder: the one that it may write into.
        code: whether code is named that it is to run.

    Raises:
        Broken: if it ended otherwise than by success, or by an error of one line.
    """
    # As in a terminal: what cannot be written in UTF-8 is an error on stdout alone.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace", newline="\n")
    with redirect_stdout(out), redirect_stderr(err), watching(Path(folder), code=code):
        try:
            exit_code = main("routed-rl", args)
        except SystemExit as stopped:
            exit_code = stopped.code or 0
    err.seek(0)
    said = err.read()
    if exit_code == 2:
        last = said.removesuffix("\n").splitlines()[-1:]
        if not last or not last[0].startswith("error: "):
            raise Broken(f"an error of no line, or of more than one: {said[-600:]!r}")
    elif exit_code not in (0, 1):
        raise Broken(f"exit code {exit_code!r}: {said[-300:]!r}")
    return exit_code


def write(files: Mapping[str, Any], folder: str | Path = ".") -> None:
    """Write files into a folder."""
    for name, data in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(data))


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Let a folder in a new one be the current one, so deep that `..` leads to nothing else."""
    here = path / "a" / "b" / "here"  # the same each time: plug-ins add it to the search path
    here.mkdir(parents=True)
    os.chdir(here)
    try:
        yield
    finally:
        os.chdir(path.parent)
        shutil.rmtree(path)


@contextmanager
def replaced(instead: Mapping[str, Any]) -> Iterator[None]:
    """Put other functions in the place of some, by their dotted names."""
    with ExitStack() as stack:
        for name, other in instead.items():
            stack.enter_context(patch(name, other))
        yield
