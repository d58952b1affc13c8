"""Environments and agents by name: files of envs/ and agents/, installed plug-ins, and --plugin's.

An environment is a module with `Config` and `make`, an agent one with `Config` and `Agent`. Of two
with one name the first of these counts: a file or module given with --plugin; our own folders,
which lie beside the package in a checkout and inside it in an installed wheel; the folders envs/
and agents/ of the current directory; an installed package that names its module under the
entry-point group `routed_rl.plugins`. Listing runs none of them but --plugin's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from routed_rl.utils.errors import UserError, nearest, one_line
from routed_rl.utils.imports import entry_points, load_module, run_module
from routed_rl.utils.sources import defined_names, source_of, summary_of

Kind = Literal["envs", "agents"]
GROUP = "routed_rl.plugins"
"""The group of entry points by which an installed package names its environments and agents."""
KINDS: tuple[Kind, ...] = ("envs", "agents")
FACTORY: dict[Kind, str] = {"envs": "make", "agents": "Agent"}
"""What a module of each kind must have, beside `Config`."""

_PACKAGE = Path(__file__).resolve().parent
_ONE: dict[Kind, str] = {"envs": "environment", "agents": "agent"}


class Named(NamedTuple):
    """An environment or an agent by name, with settings that do not say themselves whose they are.

    `Named("FrozenLake-v1", routed_rl.gym.from_gym.Config(oversight=0.3))`: a Gymnasium id.
    """

    name: str
    config: Any


class Foreign(NamedTuple):
    """Environments that are not ours, such as those of Gymnasium."""

    find: Callable[[str], ModuleType | None]
    """Returns an environment's module, or None if there is none of this name."""
    ids: Callable[[], Sequence[str]]
    """Lists the names there are."""


class Registry:
    """What can be named with --env and --agent."""

    def __init__(self, extra: Sequence[str] = (), foreign: Foreign | None = None) -> None:
        """Find all there are, and import the modules or files of `extra`.

        Args:
            extra: as given with --plugin.
            foreign: where to look for an environment that has none of our names.
        """
        self.in_checkout = not (_PACKAGE / "envs").is_dir()
        self.root = _PACKAGE.parent if self.in_checkout else _PACKAGE
        self._foreign = foreign
        self._found: dict[Kind, dict[str, _Plugin]] = {"envs": {}, "agents": {}}
        # What is found later takes the place of what was found under the same name before.
        for kind, name, plugin in (*_installed(), *_in_folders(self.root), *_given(extra)):
            self._found[kind][name] = plugin

    def configs(self) -> dict[str, Path]:
        """Return our own files of settings by their names."""
        return {path.stem: path for path in sorted((self.root / "configs").glob("*.yaml"))}

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind."""
        return sorted(self._found[kind])

    def summary(self, kind: Kind, name: str) -> str:
        """Return the first line of a plug-in's docstring, without running it."""
        return summary_of(self._found[kind][name].source)

    def file_to_give(self, kind: Kind, name: str) -> str | None:
        """Return the file of one that is found by the current folder alone.

        Elsewhere it has to be given, as with --plugin.
        """
        plugin = self._found[kind].get(name)
        return plugin.where if plugin is not None and plugin.here else None

    def load(self, kind: Kind, name: str) -> ModuleType:
        """Import an environment or an agent by name.

        Raises:
            UserError: if the name is unknown, or what it names cannot be imported or is not what it
                should be.
        """
        if name in self._found[kind]:
            plugin = self._found[kind][name]
            module = run_module(plugin.run, f"{name} from {plugin.where}")
            return _checked(module, kind, plugin.where)
        more: Sequence[str] = ()
        if kind == "envs":
            if name.endswith(".py") and _has(load_module(name), FACTORY["envs"], name):
                return _checked(load_module(name), "envs", name)
            found = self._foreign.find(name) if self._foreign else None
            if found is not None:
                return found
            more = self._foreign.ids() if self._foreign else ()
        known = nearest(name, self.names(kind), more)
        raise UserError(f"there is no {_ONE[kind]} {name!r}. {known}")


@dataclass(frozen=True)
class _Plugin:
    """One that was found and has not been run yet."""

    where: str
    source: Path | None
    run: Callable[[], ModuleType]
    here: bool = False  # whether it was found by the current folder alone


_Found = Iterator[tuple[Kind, str, _Plugin]]


def _installed() -> _Found:
    """Yield what installed packages name under our group of entry points."""
    for entry in entry_points(GROUP):
        where = f"package {entry.dist.name}" if entry.dist else entry.module
        source = source_of(entry.module)
        names = defined_names(source)
        # A file that cannot be read may be either: `load` will say what is wrong with it.
        kinds: list[Kind] = [kind for kind in KINDS if names is not None and FACTORY[kind] in names]
        plugin = _Plugin(where, source, partial(importlib.import_module, entry.module))
        for kind in kinds or KINDS:
            yield kind, entry.name, plugin


def _in_folders(root: Path) -> _Found:
    """Yield the files of envs/ and agents/, first those of the current folder, then our own."""
    for kind, factory in FACTORY.items():
        for path in _files(Path.cwd() / kind):
            names = defined_names(path)
            if names is None or factory in names:
                run = partial(load_module, str(path))
                yield kind, path.stem, _Plugin(str(path), path, run, here=True)
        for path in _files(root / kind):
            own = partial(importlib.import_module, f"routed_rl.{kind}.{path.stem}")
            yield kind, path.stem, _Plugin(str(path), path, own)


def _given(extra: Sequence[str]) -> _Found:
    """Import files or modules, and yield each under its last name, as the kinds that it is."""
    for where in extra:
        module = load_module(where)
        kinds: list[Kind] = [kind for kind in KINDS if _has(module, FACTORY[kind], where)]
        if not kinds:
            raise UserError(
                f"plugin {where} has neither make() nor Agent: it must be an environment or an "
                "agent."
            )
        path = Path(where)
        name = path.stem if path.suffix == ".py" else where.split(".")[-1]
        for kind in kinds:
            _checked(module, kind, where)
            source = path if path.suffix == ".py" else Path(str(getattr(module, "__file__", "")))
            yield kind, name, _Plugin(where, source, partial(_same, module))


def identify(kind: Kind, config: Any) -> tuple[str, str | None]:
    """Say whose settings these are, by the module that defines their class.

    Returns:
        The name of the environment or the agent, and the file to find it by if it is not ours.
    """
    if isinstance(config, type | ModuleType):
        raise UserError(
            f"{config.__name__} was given as {_ONE[kind]}: pass an instance of its Config."
        )
    module = sys.modules[type(config).__module__]
    if module.__name__.startswith(f"routed_rl.{kind}."):
        return module.__name__.rpartition(".")[2], None
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" and file is None:
        raise UserError(
            f"the {_ONE[kind]} is in no file, so a run of it could not be reopened: "
            "save it as one, and import it."
        )
    if not hasattr(module, FACTORY[kind]) or file is None:
        raise UserError(
            f"{type(config).__name__} of {module.__name__} does not say which {_ONE[kind]} it is "
            "of: pass Named(name, config)."
        )
    path = Path(file).resolve()
    return path.stem, str(path)


def _files(folder: Path) -> list[Path]:
    """List the files of a folder that can be named."""
    return [path for path in folder.glob("*.py") if not path.stem.startswith("_")]


def _same(module: ModuleType) -> ModuleType:
    """Return a module that is imported already."""
    return module


def _has(module: ModuleType, name: str, where: str) -> bool:
    """Say whether a module has something; a `__getattr__` of its own may fail.

    Raises:
        UserError: if that does.
    """
    try:
        return hasattr(module, name)
    except Exception as error:  # whatever somebody else's code does
        raise UserError(
            f"{where} cannot be asked for {name} ({one_line(error)}): mend it."
        ) from error


def _checked(module: ModuleType, kind: Kind, where: str) -> ModuleType:
    """Return the module if it has what its kind needs."""
    missing = [name for name in ("Config", FACTORY[kind]) if not _has(module, name, where)]
    if missing:
        lacks = " and no ".join(missing)
        raise UserError(f"{where} has no {lacks}: add it, as docs/plugins.md shows.")
    if not is_dataclass(module.Config) or not callable(getattr(module, FACTORY[kind])):
        raise UserError(
            f"{where}: Config must be a dataclass, and {FACTORY[kind]} be callable, "
            "as docs/plugins.md shows."
        )
    return module
