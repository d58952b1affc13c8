"""Environments and agents by name: files of envs/ and agents/, installed plug-ins, and what --plugin gives.

An environment is a module with `Config` and `make`, an agent one with `Config` and `Agent`. Of two with one name the
first of these counts: a file or module given with --plugin; our own folders, which lie beside the package in a checkout
and inside it in an installed wheel; the folders envs/ and agents/ of the current directory; an installed package that
names its module under the entry-point group `routed_rl.plugins`. Listing runs none of them but --plugin's.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal, NoReturn

from routed_rl.config import UserError, nearest
from routed_rl.loading import load_module, run_module

Kind = Literal["envs", "agents"]
GROUP = "routed_rl.plugins"
"""The group of entry points by which an installed package names its environments and agents."""
_PACKAGE = Path(__file__).resolve().parent
_FACTORY: dict[Kind, str] = {"envs": "make", "agents": "Agent"}
_ONE: dict[Kind, str] = {"envs": "environment", "agents": "agent"}


@dataclass(frozen=True)
class _Plugin:
    """One that was found and has not been run yet."""

    where: str
    source: Path | None
    run: Callable[[], ModuleType]


class Plugins:
    """What can be named with --env and --agent."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        """Find all there are, and import the modules or files of `extra`."""
        inside = (_PACKAGE / "envs").is_dir()
        self.in_checkout = not inside
        self.root, self._prefix = (_PACKAGE, "routed_rl.") if inside else (_PACKAGE.parent, "")
        self._found: dict[Kind, dict[str, _Plugin]] = {"envs": {}, "agents": {}}
        for entry in metadata.entry_points(group=GROUP):
            package = f"package {entry.dist.name}" if entry.dist else entry.module
            source = _source(entry.module)
            names = _defined(source)
            kinds: list[Kind] = [kind for kind in _FACTORY if names is not None and _FACTORY[kind] in names] or list(
                _FACTORY
            )
            for kind in kinds:
                self._found[kind][entry.name] = _Plugin(package, source, partial(importlib.import_module, entry.module))
        for kind, factory in _FACTORY.items():
            for path in _files(Path.cwd() / kind):
                names = _defined(path)
                if names is None or factory in names:
                    self._found[kind][path.stem] = _Plugin(str(path), path, partial(load_module, str(path)))
            for path in _files(self.root / kind):
                self._found[kind][path.stem] = _Plugin(str(path), path, partial(self._run_own, kind, path))
        for plugin in extra:
            self._add(plugin)

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind."""
        return sorted(self._found[kind])

    def summary(self, kind: Kind, name: str) -> str:
        """Return the first line of a plug-in's docstring, without running it."""
        source = self._found[kind][name].source
        try:
            text = ast.get_docstring(ast.parse(source.read_bytes())) if source else "cannot be found"
        except (OSError, SyntaxError, ValueError) as error:
            text = f"cannot be read: {_reason(error)}"
        return (text or "no description").strip().splitlines()[0]

    def load(self, kind: Kind, name: str) -> ModuleType:
        """Import an environment or an agent by name.

        Raises:
            UserError: if the name is unknown, or what it names cannot be imported or is not what it should be.
        """
        if name not in self._found[kind]:
            return _foreign(name, self.names(kind)) if kind == "envs" else _unknown(kind, name, self.names(kind))
        plugin = self._found[kind][name]
        return _checked(run_module(plugin.run, f"{name} from {plugin.where}"), kind, plugin.where)

    def _run_own(self, kind: Kind, path: Path) -> ModuleType:
        """Import a file of our own folders, where files may import each other."""
        if str(self.root) not in sys.path:
            sys.path.insert(0, str(self.root))
        module = importlib.import_module(f"{self._prefix}{kind}.{path.stem}")
        found = Path(module.__file__ or "").resolve()
        if found != path:
            raise UserError(
                f"{kind}.{path.stem} was imported from {found}, which is not ours: uninstall or rename that package."
            )
        return module

    def _add(self, plugin: str) -> None:
        """Import a file or a module and keep it under its last name, as an environment, an agent or both."""
        path = Path(plugin)
        module = load_module(plugin)
        kinds: list[Kind] = [kind for kind in _FACTORY if hasattr(module, _FACTORY[kind])]
        if not kinds:
            raise UserError(f"plugin {plugin} has neither make() nor Agent: it must be an environment or an agent.")
        name, source = path.stem if path.suffix == ".py" else plugin.split(".")[-1], Path(module.__file__ or "")
        for kind in kinds:
            _checked(module, kind, plugin)
            self._found[kind][name] = _Plugin(plugin, source, lambda: module)


def _files(folder: Path) -> list[Path]:
    """List the files of a folder that can be named."""
    return [path for path in folder.glob("*.py") if not path.stem.startswith("_")]


def _source(module: str) -> Path | None:
    """Find a module's file without running it or the packages that it lies in."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for number in range(len(rest)):
            if spec is not None:
                name = ".".join((top, *rest[: number + 1]))
                spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _defined(source: Path | None) -> set[str] | None:
    """Return the names that a file defines, without running it; None if it cannot be read."""
    try:
        body = ast.parse(source.read_bytes()).body if source else None
    except (OSError, SyntaxError, ValueError):
        body = None
    if body is None:
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


def _foreign(name: str, known: Sequence[str]) -> ModuleType:
    """Load an environment that is not named after a file of ours: a file elsewhere, or one of Gymnasium's."""
    if name.endswith(".py") and hasattr(load_module(name), _FACTORY["envs"]):
        return _checked(load_module(name), "envs", name)
    from routed_rl import gym_env  # here, since to import Gymnasium takes longer than to print the help

    found = gym_env.find(name)
    return _unknown("envs", name, known, gym_env.ids()) if found is None else gym_env.as_module(found)


def _unknown(kind: Kind, name: str, known: Sequence[str], more: Sequence[str] = ()) -> NoReturn:
    raise UserError(f"there is no {_ONE[kind]} {name!r}. {nearest(name, known, more)}")


def _checked(module: ModuleType, kind: Kind, where: str) -> ModuleType:
    """Return the module if it has what its kind needs."""
    missing = [name for name in ("Config", _FACTORY[kind]) if not hasattr(module, name)]
    if missing:
        raise UserError(f"{where} has no {' and no '.join(missing)}: add it, as docs/plugins.md shows.")
    return module


def _reason(error: Exception) -> str:
    """Say in one line what went wrong."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
