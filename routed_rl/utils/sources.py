"""What can be known of a Python file without running it."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
from functools import lru_cache
from pathlib import Path

from routed_rl.utils.errors import one_line


def source_of(module: str) -> Path | None:
    """Find a module's file without running it or the packages that it lies in."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for number in range(len(rest)):
            if spec is not None:
                name = ".".join((top, *rest[: number + 1]))
                path = spec.submodule_search_locations
                spec = importlib.machinery.PathFinder.find_spec(name, path)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def defined_names(source: Path | None) -> set[str] | None:
    """Return the names that a file defines or imports; None if it cannot be read."""
    try:
        state = source.stat() if source else None
    except OSError:
        return None
    # A sweep asks for the same files hundreds of times.
    return _defined_names(source, state.st_mtime_ns, state.st_size) if source and state else None


@lru_cache(maxsize=1024)
def _defined_names(source: Path, *_: int) -> set[str] | None:
    """Return the names of a file as it was written at some time."""
    try:
        body = ast.parse(source.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def summary_of(source: Path | None) -> str:
    """Return the first line of a file's docstring, or why there is none."""
    if source is None:
        return "cannot be found"
    try:
        text = ast.get_docstring(ast.parse(source.read_bytes()))
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be read: {one_line(error)}"
    return (text or "no description").strip().splitlines()[0]
