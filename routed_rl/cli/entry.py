"""The way in from a terminal: questions are answered without loading torch.

`--help` and `--list` need the Config classes of environments and agents, and the files that define
them import torch, which alone takes 1.5 seconds. To import torch lazily in each of those files
would put a rule on everybody's plug-ins, and break the moment one forgets it. So for a question the
heavy libraries are replaced by stand-ins, in which every name is a class: enough to define classes
and functions, of which none is called. Whatever goes wrong, the real libraries answer instead.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

QUESTIONS = {"-h", "--help", "--list"}
HEAVY = {"torch", "numpy", "PIL", "safetensors"}
NOBODY_READS = 1
"""The exit code where `head`, or whoever else read the answer, has read enough and left."""


def script() -> None:
    """Run `routed-rl`, `train.py` or `evaluate.py` as named on the command line, then exit."""
    _open_closed_streams()
    asked = QUESTIONS & set(sys.argv)
    if asked and not any(arg.startswith("--plugin") for arg in sys.argv):
        with_stand_ins(run)
    run()


def _open_closed_streams() -> None:
    """Give a program that was started without stdin, stdout or stderr empty ones.

    Otherwise a file of a run would get the number of one, and with it whatever is printed there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def with_stand_ins(answer: Any) -> None:
    """Call `answer`, which exits if it can, with stand-ins for the heavy libraries.

    If it fails nothing is left behind, so that it can be called again with the real ones.
    """
    loaded = set(sys.modules)
    sys.meta_path.insert(0, _StandIns())
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            answer()
    except SystemExit as done:
        if done.code in (None, 0, NOBODY_READS):
            raise
    except Exception:  # a file needs more than names to be imported
        pass
    sys.meta_path.pop(0)
    for name in set(sys.modules) - loaded:
        del sys.modules[name]
        package, _, module = name.rpartition(".")
        if package in loaded and hasattr(sys.modules[package], module):
            delattr(sys.modules[package], module)  # `from package import module` looks there first


def run() -> NoReturn:
    """Run the command line's command."""
    from routed_rl.cli.main import main

    name = Path(sys.argv[0]).name
    sys.exit(main("python -m routed_rl" if name == "__main__.py" else name, sys.argv[1:]))


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, for every heavy library, a module of stand-ins."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Stand in for a heavy library and everything in it."""
        if name.split(".")[0] not in HEAVY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the module."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""


class _Module(ModuleType):
    """A module in which every name is a stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named


class _Meta(type):
    """Lets a class have every attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, _: Any) -> Any:
        return cls


class _Named(metaclass=_Meta):
    """Stands for any class, decorator or number type."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take anything."""

    def __call__(self, function: Any) -> Any:
        """Decorate a function by leaving it as it is."""
        return function
