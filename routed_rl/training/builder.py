"""Puts a run together: from flags, a yaml file, dataclasses, or the folder that it wrote."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.registry import Kind, Named, Registry, identify
from routed_rl.training import checkpoints
from routed_rl.training.settings import (
    FORMER,
    RunConfig,
    RunNames,
    RunSettings,
    flags_class,
    renamed,
    split,
)
from routed_rl.training.setup import Setup
from routed_rl.utils import settings
from routed_rl.utils.errors import UserError, nearest
from routed_rl.utils.imports import absolute, short_name

_TRAIN = f"""Train an agent in an environment.

  --env NAME         the environment: {{envs}}, an id of Gymnasium's, or a file
                     (default {RunNames.env})
  --agent NAME       the method: {{agents}}
                     (default {RunNames.agent})
  --list             say what environments and agents there are
  --plugin FILE ...  files or modules with other environments or agents
  --config FILE      yaml with settings, or by its name one of ours: {{configs}};
                     flags win over it
  --run-dir DIR      folder for the run's files; a new one under runs/ unless given
  --resume DIR       continue the run in DIR; only --steps may change
  --no-page          leave report.html out; `routed-rl report DIR` writes it later
"""


@dataclass(frozen=True)
class Wanted:
    """What of a command line says what is trained and where; the other flags depend on it."""

    env: str | None = None
    agent: str | None = None
    config: str | None = None
    resume: str | None = None
    run_dir: str | None = None
    plugin: Sequence[str] = ()
    list: bool = False
    no_page: bool = False


def choose(args: Sequence[str]) -> tuple[Wanted, list[str]]:
    """Take the flags of `Wanted` out of the others."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in ("--env", "--agent", "--config", "--resume", "--run-dir"):
        parser.add_argument(name)
    parser.add_argument("--plugin", action="extend", nargs="+", default=[])
    for name in ("--list", "--no-page"):
        parser.add_argument(name, action="store_true")
    given, flags = parser.parse_known_args(args)
    return Wanted(**vars(given)), flags


def build(args: Sequence[str], prog: str = "train.py") -> Setup:
    """Build from the flags of `train` what it would train, without a folder."""
    wanted, flags = choose(args)
    plain = settings.read_yaml(_config_file(wanted.config)) if wanted.config else {}
    return assemble(plain, flags, prog, wanted)


def assemble(
    plain: Mapping[str, Any], flags: Sequence[str], prog: str, wanted: Wanted | None = None
) -> Setup:
    """Put a run together from a yaml file's settings and the flags that win over them."""
    wanted = wanted or Wanted()
    own, names = _named(dict(plain), wanted)
    registry = Registry(names.plugins, GYMNASIUM)
    env = registry.load("envs", names.env)
    agent = registry.load("agents", names.agent)
    own = renamed(own, _field_names(agent))
    kinds: tuple[Kind, ...] = ("envs", "agents")
    listed = {kind: ", ".join(registry.names(kind)) for kind in kinds}
    configs = ", ".join(registry.configs())
    # What the current folder alone has, a run that is reopened in another could not find.
    here = [registry.file_to_give("envs", names.env), registry.file_to_give("agents", names.agent)]
    names = replace(names, plugins=(*names.plugins, *filter(None, here)))
    try:
        parsed = settings.parse(
            flags_class(env, agent),
            [*settings.to_flags(own), *flags],
            prog=prog,
            description=_TRAIN.format(**listed, configs=configs),
        )
    except settings.UnknownFlagError as error:
        raise _explained(error) from None
    return Setup(split(names, parsed), env, agent)


def _config_file(given: str) -> Path:
    """Return the file that is given with --config: a path, or the name of one of ours.

    Raises:
        UserError: if a name is neither.
    """
    path = Path(given)
    if path.is_file() or path.parent != Path():
        return path
    known = Registry().configs()
    name = given.removesuffix(".yaml")
    if name not in known:
        near = nearest(name, known)
        raise UserError(f"there is no file {given!r}, and no config of ours. {near}")
    return known[name]


def from_configs(env: Any, agent: Any, own: RunSettings) -> Setup:
    """Put a run together from dataclasses.

    Args:
        env: an environment's `Config`, its name, or both as `Named`.
        agent: an agent's, likewise.
        own: of the run.
    """
    registry = Registry((), GYMNASIUM)
    world = _part("envs", env, registry)
    method = _part("agents", agent, registry)
    files = tuple(dict.fromkeys(part.file for part in (world, method) if part.file))
    names = RunNames(world.name, method.name, files)
    config = RunConfig(names, env=world.config, agent=method.config, settings=own)
    return Setup(config, world.module, method.module)


def reopen(folder: Path, flags: Sequence[str] = (), *, plugins: Sequence[str] = ()) -> Setup:
    """Rebuild what a run's folder was made from, with flags that win over it."""
    return assemble(_read(folder), flags, "train.py", Wanted(plugin=plugins))


def settings_of(folder: Path) -> dict[str, Any]:
    """Read the settings of a run, under the names that they have now."""
    plain = _read(folder)
    agent = plain.get("agent")
    name = agent.get("name") if isinstance(agent, dict) else None
    try:
        module = Registry(_listed(plain.get("plugins")), GYMNASIUM).load("agents", str(name))
    except UserError:  # whoever runs it is told; whoever only reads it need not have the agent
        return renamed(plain, None)
    return renamed(plain, _field_names(module))


_FREE = {"steps", "device", "track", "episode_log"}
"""Settings that change nothing of what is computed up to a step."""


def check_settings(plain: Mapping[str, Any], state: Mapping[str, Any], path: Path) -> None:
    """Make sure that a checkpoint and the config.yaml beside it are of the same run.

    Args:
        plain: what config.yaml holds.
        state: of the checkpoint; an older one holds no settings.
        path: of the checkpoint.

    Raises:
        UserError: if one of them is of another run, or config.yaml was cut short.
    """
    there = settings.flatten(plain)
    with checkpoints.fitting(path):  # what it holds may be anything
        saved = settings.flatten(renamed(state.get("settings", {})))
        saved.pop("plugins", None)  # a plug-in that was not used may be left out
        wrong = [name for name in saved if name not in there or _differ(name, saved, there)]
    if not wrong:
        return
    name = wrong[0]
    if name not in there:
        raise UserError(
            f"config.yaml lacks {name}, which was {saved[name]!s:.80} when {path} was saved: "
            "put the file back that the run wrote."
        )
    raise UserError(
        f"{path} was saved with {name} {saved[name]!s:.80}, and config.yaml says "
        f"{there[name]}: put the file that belongs here back."
    )


def _differ(name: str, *settings_of_two: Mapping[str, Any]) -> bool:
    """Say whether a setting makes another run. The folder of a file may have moved."""
    first, second = (own[name] for own in settings_of_two)
    if isinstance(first, str) and isinstance(second, str):
        first, second = short_name(first), short_name(second)
    return name not in _FREE and bool(first != second)


def _read(folder: Path) -> dict[str, Any]:
    """Read config.yaml as it stands."""
    if not (folder / "config.yaml").exists():
        raise UserError(
            f"{folder} is no run: give a folder with a config.yaml, as train.py makes under runs/."
        )
    return settings.read_yaml(folder / "config.yaml")


def run_settings(**values: Any) -> RunSettings:
    """Make settings of a run from keywords.

    Raises:
        UserError: if a name or a value is wrong.
    """
    known = [field.name for field in fields(RunSettings)]
    for name in values:
        if name not in known:
            raise UserError(f"there is no setting {name!r}. {nearest(name, known)}")
    try:
        return replace(RunSettings(), **{name: _plain(name, x) for name, x in values.items()})
    except ValueError as error:
        raise UserError(str(error)) from None


def _plain(name: str, value: Any) -> Any:
    """Return a setting as config.yaml can hold it: 1e6 and NumPy's numbers become integers."""
    kind = type(getattr(RunSettings(), name))
    if kind is int and isinstance(value, Integral):
        return int(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is tuple and isinstance(value, list | tuple):
        return tuple(value)
    if not isinstance(value, kind):
        raise UserError(f"{name.replace('_', '-')} is {value!r}: give {_KINDS[kind]}.")
    return value


_KINDS = {
    int: "a whole number",
    str: "a word",
    bool: "True or False",
    tuple: "a sequence of words",
}


def _named(plain: dict[str, Any], wanted: Wanted) -> tuple[dict[str, Any], RunNames]:
    """Take the names out of a yaml file's settings, unless flags give others."""
    plugins = (*_listed(plain.pop("plugins", None)), *wanted.plugin)
    names: dict[str, str] = {}
    for part, given in (("env", wanted.env), ("agent", wanted.agent)):
        section = plain.get(part) or {}
        if not isinstance(section, dict):
            raise UserError(
                f"{part} is {section!r} in the yaml file: "
                f"write it as '{part}: {{name: {section}}}'."
            )
        section = dict(section)
        in_file = section.pop("name", None)
        if not isinstance(in_file, str | None):
            raise UserError(f"{part}'s name is {in_file!r} in the yaml file: give a word.")
        names[part] = given or in_file or getattr(RunNames, part)
        plain[part] = section
        if given and in_file and absolute(given) != absolute(in_file):
            del plain[part]  # settings of another environment or agent than the one wanted
    return plain, RunNames(**names, plugins=plugins)


class _Part(NamedTuple):
    """An environment or an agent."""

    name: str
    config: Any
    module: ModuleType
    file: str | None  # to find it by, if it is not ours


def _part(kind: Kind, given: Any, registry: Registry) -> _Part:
    """Find an environment or an agent by its name, by its configuration, or by both."""
    if isinstance(given, str):
        module = registry.load(kind, given)
        return _Part(given, module.Config(), module, registry.file_to_give(kind, given))
    if isinstance(given, Named):
        module = registry.load(kind, given.name)
        return _Part(given.name, given.config, module, registry.file_to_give(kind, given.name))
    name, file = identify(kind, given)
    return _Part(name, given, sys.modules[type(given).__module__], file)


def _field_names(module: ModuleType) -> set[str]:
    """Return the names of the fields of a module's `Config`."""
    return {field.name for field in fields(module.Config)}


def _listed(given: Any) -> Sequence[str]:
    """Return plug-ins as a yaml file may name them: several, one, or none."""
    listed = [given] if isinstance(given, str) else given or []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise UserError(f"plugins are {given!r} in the yaml file: give a list of files or modules.")
    return listed


def _explained(error: settings.UnknownFlagError) -> UserError:
    """Say what a flag is called now, where it belongs, or which one was meant."""
    flag = error.flag.split("=")[0]
    if flag in _OWN_FLAGS:
        return UserError(f"{flag} belongs on the command line: no file of settings can hold it.")
    renamed_flag = _with_new_name(error)
    # A flag without a dot is more like one of these than like any of an environment's or agent's.
    near = difflib.get_close_matches(flag, _OWN_FLAGS, n=1, cutoff=0.7) if "." not in flag else []
    if renamed_flag is error and near:
        return UserError(f"there is no flag {error.flag!r}. Did you mean {near[0]!r}?")
    return renamed_flag


_OWN_FLAGS = [f"--{field.name.replace('_', '-')}" for field in fields(Wanted)]


def _with_new_name(error: settings.UnknownFlagError) -> UserError:
    """Say of a flag that was renamed what it is called now."""
    part, _, key = error.flag.lstrip("-").split("=")[0].replace("-", "_").rpartition(".")
    off = "no_" if key.startswith("no_") else ""
    former = ".".join(filter(None, (part, key.removeprefix("no_"))))
    if former not in FORMER:
        return error
    name = ".".join(filter(None, (part, off + FORMER[former]))).replace("_", "-")
    return UserError(f"there is no flag {error.flag!r} any more. It is called '--{name}' now.")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. (See --help.)")
