"""Loads a person's module, by its name or from its file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from routed_rl.config import UserError


def load_module(where: str) -> ModuleType:
    """Import a dotted name, or a file whose name ends in .py; a second time gives the same module.

    Raises:
        UserError: if that fails, for whatever reason.
    """
    try:
        return _load_file(Path(where).resolve()) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:  # whatever a file of somebody else's does
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"cannot import plugin {where} ({reason}): mend it, or give another file or module.") from error


def _load_file(path: Path) -> ModuleType:
    """Run a file, unless it has run before."""
    name = f"routed_rl_plugin_{path.stem}"
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
