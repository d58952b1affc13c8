"""Environments and agents by name: envs/NAME.py, agents/NAME.py, or a file or module given with --plugin.

An environment is a module with `Config` and `make`, an agent one with `Config` and `Agent`. The two
folders lie beside the package in a checkout and inside it in an installed wheel.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal, NoReturn

from routed_rl.config import UserError, nearest
from routed_rl.loading import load_module

Kind = Literal["envs", "agents"]
_PACKAGE = Path(__file__).resolve().parent
_FACTORY: dict[Kind, str] = {"envs": "make", "agents": "Agent"}
_ONE: dict[Kind, str] = {"envs": "environment", "agents": "agent"}


class Plugins:
    """What can be named with --env and --agent."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        """Find the files of both folders, and the modules or files of `extra`."""
        inside = (_PACKAGE / "envs").is_dir()
        self._root, self._prefix = (_PACKAGE, "routed_rl.") if inside else (_PACKAGE.parent, "")
        self._extra: dict[Kind, dict[str, ModuleType]] = {"envs": {}, "agents": {}}
        for plugin in extra:
            self._add(plugin)

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind."""
        found = {path.stem for path in (self._root / kind).glob("*.py") if not path.stem.startswith("_")}
        return sorted(found | set(self._extra[kind]))

    def summary(self, kind: Kind, name: str) -> str:
        """Return the first line of a plug-in's docstring, without running it if it is a file of ours."""
        if name in self._extra[kind]:
            text = self._extra[kind][name].__doc__
        else:
            text = ast.get_docstring(ast.parse((self._root / kind / f"{name}.py").read_text()))
        return (text or "no description").strip().splitlines()[0]

    def load(self, kind: Kind, name: str) -> ModuleType:
        """Import an environment or an agent by name.

        Raises:
            UserError: if the name is unknown, or the file is not what it should be.
        """
        if name in self._extra[kind]:
            return self._extra[kind][name]
        if name not in self.names(kind):
            return _foreign(name, self.names(kind)) if kind == "envs" else _unknown(kind, name, self.names(kind))
        if str(self._root) not in sys.path:
            sys.path.insert(0, str(self._root))
        module = importlib.import_module(f"{self._prefix}{kind}.{name}")
        path = Path(module.__file__ or "").resolve()
        if path.parent != self._root / kind:
            raise UserError(
                f"{kind}.{name} was imported from {path}, which is not ours: uninstall or rename that package."
            )
        return _checked(module, kind, str(path))

    def _add(self, plugin: str) -> None:
        """Import a file or a module and keep it under its last name, as an environment, an agent or both."""
        path, module = Path(plugin), load_module(plugin)
        kinds: list[Kind] = [kind for kind in _FACTORY if hasattr(module, _FACTORY[kind])]
        if not kinds:
            raise UserError(f"plugin {plugin} has neither make() nor Agent: it must be an environment or an agent.")
        for kind in kinds:
            self._extra[kind][path.stem if path.suffix == ".py" else plugin.split(".")[-1]] = _checked(
                module, kind, plugin
            )


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
        raise UserError(f"{where} has no {' and no '.join(missing)}: add it, as CONTRIBUTING.md shows.")
    return module
