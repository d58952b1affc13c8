"""A person's modules, by name or as files: what they are called, and how they are loaded."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from routed_rl.utils.errors import UserError, one_line

MOST_BYTES = 1_000_000
"""Of a person's file: of one with megabytes Python takes a minute to say where it is wrong."""


def entry_points(group: str) -> metadata.EntryPoints:
    """Return what installed packages name under a group."""
    return _entry_points(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _entry_points(group: str, _: tuple[str, ...]) -> metadata.EntryPoints:
    """Look through the packages on a search path."""
    return metadata.entry_points(group=group)


def absolute(where: str) -> str:
    """Write FILE.py or FILE.py:NAME with its whole path; anything else stays as it is.

    The file keeps its own name, even if it is a link: it may be known by that.
    """
    file, member = _split(where)
    if file is None:
        return where
    return f"{file.parent.resolve() / file.name}{member}"


def short_name(where: str, folders: int = 0) -> str:
    """Call a file by its stem, after as many of its folders; anything else stays as it is.

    `rooms/four.py:Env` is `four:Env`, and `rooms/four:Env` with one folder.
    """
    file, member = _split(where)
    if file is None:
        return where
    parents = file.parent.parts
    return "/".join((*parents[max(len(parents) - folders, 0) :], file.stem)) + member


def _split(where: str) -> tuple[Path | None, str]:
    """Return the file and `:NAME` behind it; no file if what was given is a name."""
    file, colon, member = where.rpartition(":")
    if file.endswith(".py"):
        return Path(file), colon + member
    return (Path(where), "") if where.endswith(".py") else (None, "")


def load_module(where: str) -> ModuleType:
    """Import a dotted name, or a file whose name ends in .py; a second time gives the same module.

    From then on a module may import what lies beside it, and what lies in the current folder.

    Raises:
        UserError: if that fails, for whatever reason.
    """

    def load() -> ModuleType:
        if not where.endswith(".py"):
            _search(Path.cwd())
            return importlib.import_module(where)
        path = Path(where).resolve()
        _search(path.parent, Path.cwd())
        return _load_file(path)

    return run_module(load, where)


def load_function(where: str) -> Callable[..., Any]:
    """Load what is named as module:function or file.py:function.

    Raises:
        UserError: if it is not there.
    """
    module, _, name = where.rpartition(":")
    # Whether a person's module has the function is only known when it is looked up.
    function = getattr(load_module(module), name, None) if module else None
    if function is None:
        raise UserError(
            f"there is no function {where!r}: write module:function or file.py:function."
        )
    return function


def run_module(run: Callable[[], ModuleType], what: str) -> ModuleType:
    """Run somebody else's module.

    Raises:
        UserError: if anything goes wrong in it.
    """
    try:
        return run()
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a file of somebody else's does, exit() too
        raise UserError(
            f"cannot import plugin {what} ({one_line(error)}): "
            "mend it, or give another file or module."
        ) from error


def _search(*folders: Path) -> None:
    """Let modules be found in these folders too, after all others.

    A person's module may need its neighbours at any time, in a function as well, so the folders
    stay. They come last: a neighbour called `torch.py` or `envs.py` hides nothing of ours or of an
    installed package. This is the only place that changes the search path: `routed-rl`, unlike
    `python`, does not have the current folder in it.
    """
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)


def _load_file(path: Path) -> ModuleType:
    """Run a file, unless it has run before."""
    name = f"routed_rl_plugin_{path.parent.name}_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} has over {MOST_BYTES:,} bytes: give a file of Python.")
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
