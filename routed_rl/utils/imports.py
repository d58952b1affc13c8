"""Loads a person's module, by its name or from its file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from routed_rl.utils.errors import UserError, one_line


def load_module(where: str) -> ModuleType:
    """Import a dotted name, or a file whose name ends in .py; a second time gives the same module.

    Raises:
        UserError: if that fails, for whatever reason.
    """
    path = Path(where).resolve()

    def load() -> ModuleType:
        return _load_file(path) if where.endswith(".py") else importlib.import_module(where)

    return run_module(load, where)


def run_module(run: Callable[[], ModuleType], what: str) -> ModuleType:
    """Run somebody else's module.

    Raises:
        UserError: if anything goes wrong in it.
    """
    try:
        return run()
    except UserError:
        raise
    except Exception as error:  # whatever a file of somebody else's does
        raise UserError(
            f"cannot import plugin {what} ({one_line(error)}): "
            "mend it, or give another file or module."
        ) from error


def _load_file(path: Path) -> ModuleType:
    """Run a file, unless it has run before."""
    name = f"routed_rl_plugin_{path.parent.name}_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
