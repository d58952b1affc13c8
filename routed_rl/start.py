"""The way in from a terminal: questions are answered without loading torch, which alone takes seconds."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

_QUESTIONS = {"-h", "--help", "--list"}
_HEAVY = {"torch", "numpy", "PIL", "safetensors"}


def script() -> None:
    """Run `routed-rl`, `train.py` or `evaluate.py` as named on the command line, and exit with its code."""
    loaded = set(sys.modules)
    if _QUESTIONS & set(sys.argv) and not any(arg.startswith("--plugin") for arg in sys.argv):
        sys.meta_path.insert(0, _StandIns())
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                _run()
        except SystemExit as done:
            if not done.code:
                raise
        except Exception:  # a file needs more than names to be imported
            pass
        sys.meta_path.pop(0)  # whatever went wrong: again with the real libraries
        for name in set(sys.modules) - loaded:
            del sys.modules[name]
            package, _, module = name.rpartition(".")
            if package in loaded and hasattr(sys.modules[package], module):
                delattr(sys.modules[package], module)  # `from package import module` looks there first
    _run()


def _run() -> NoReturn:
    from routed_rl import cli

    name = Path(sys.argv[0]).name
    sys.exit(cli.main("python -m routed_rl" if name == "__main__.py" else name, sys.argv[1:]))


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, for every heavy library, a module in which every name is a class that can be named, called or inherited.

    That is enough to define classes and functions; to list flags none of them runs.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Stand in for a heavy library and everything in it."""
        if name.split(".")[0] not in _HEAVY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Make the module."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing."""


class _Module(ModuleType):
    """A module of stand-ins."""

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
