"""Puts a run together: from flags, a yaml file, dataclasses, or the folder that it wrote."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.registry import Kind, Named, Registry, identify
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

_TRAIN = f"""Train an agent in an environment.

  --env NAME         the environment: {{envs}}, an id of Gymnasium's, or a file
                     (default {RunNames.env})
  --agent NAME       the method: {{agents}}
                     (default {RunNames.agent})
  --list             say what environments and agents there are
  --plugin FILE ...  files or modules with other environments or agents
  --config FILE      yaml with settings; flags win over it
  --run-dir DIR      folder for the run's files; a new one under runs/ unless given
  --resume DIR       continue the run in DIR; only --steps may change
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


def choose(args: Sequence[str]) -> tuple[Wanted, list[str]]:
    """Take the flags of `Wanted` out of the others."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in ("--env", "--agent", "--config", "--resume", "--run-dir"):
        parser.add_argument(name)
    parser.add_argument("--plugin", action="extend", nargs="+", default=[])
    parser.add_argument("--list", action="store_true")
    given, flags = parser.parse_known_args(args)
    return Wanted(**vars(given)), flags


def build(args: Sequence[str], prog: str = "train.py") -> Setup:
    """Build from the flags of `train` what it would train, without a folder."""
    wanted, flags = choose(args)
    plain = settings.read_yaml(Path(wanted.config)) if wanted.config else {}
    return assemble(plain, flags, prog, wanted)


def assemble(
    plain: Mapping[str, Any], flags: Sequence[str], prog: str, wanted: Wanted | None = None
) -> Setup:
    """Put a run together from a yaml file's settings and the flags that win over them."""
    wanted = wanted or Wanted()
    own, names = _named(renamed(plain), wanted)
    registry = Registry(names.plugins, GYMNASIUM)
    env = registry.load("envs", names.env)
    agent = registry.load("agents", names.agent)
    kinds: tuple[Kind, ...] = ("envs", "agents")
    listed = {kind: ", ".join(registry.names(kind)) for kind in kinds}
    try:
        parsed = settings.parse(
            flags_class(env, agent),
            [*settings.to_flags(own), *flags],
            prog=prog,
            description=_TRAIN.format(**listed),
        )
    except settings.UnknownFlagError as error:
        raise _with_new_name(error) from None
    return Setup(split(names, parsed), env, agent)


def from_configs(env: Any, agent: Any, own: RunSettings) -> Setup:
    """Put a run together from dataclasses.

    Args:
        env: an environment's `Config`, its name, or both as `Named`.
        agent: an agent's, likewise.
        own: of the run.
    """
    env_name, env_config, env_file = _part("envs", env)
    agent_name, agent_config, agent_file = _part("agents", agent)
    plugins = tuple(dict.fromkeys(file for file in (env_file, agent_file) if file))
    registry = Registry(plugins, GYMNASIUM)
    env_module = registry.load("envs", env_name)
    agent_module = registry.load("agents", agent_name)
    config = RunConfig(
        names=RunNames(env_name, agent_name, plugins),
        env=env_module.Config() if env_config is None else env_config,
        agent=agent_module.Config() if agent_config is None else agent_config,
        settings=own,
    )
    return Setup(config, env_module, agent_module)


def reopen(folder: Path, flags: Sequence[str] = (), *, plugins: Sequence[str] = ()) -> Setup:
    """Rebuild what a run's folder was made from, with flags that win over it."""
    return assemble(settings_of(folder), flags, "train.py", Wanted(plugin=plugins))


def settings_of(folder: Path) -> dict[str, Any]:
    """Read the settings of a run."""
    if not (folder / "config.yaml").exists():
        raise UserError(
            f"{folder} is no run: give a folder with a config.yaml, as train.py makes under runs/."
        )
    return renamed(settings.read_yaml(folder / "config.yaml"))


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
        return replace(RunSettings(), **values)
    except ValueError as error:
        raise UserError(str(error)) from None


def _named(plain: dict[str, Any], wanted: Wanted) -> tuple[dict[str, Any], RunNames]:
    """Take the names out of a yaml file's settings, unless flags give others."""
    plugins = (*plain.pop("plugins", ()), *wanted.plugin)
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
        names[part] = given or in_file or getattr(RunNames, part)
        plain[part] = section
        if given is not None and in_file is not None and given != in_file:
            del plain[part]  # settings of another environment or agent than the one wanted
    return plain, RunNames(**names, plugins=plugins)


def _part(kind: Kind, given: Any) -> tuple[str, Any, str | None]:
    """Return the name of an environment or agent, its configuration, and the file it is in."""
    if isinstance(given, Named):
        return given.name, given.config, None
    if isinstance(given, str):
        return given, None, None
    name, file = identify(kind, given)
    return name, given, file


def _with_new_name(error: settings.UnknownFlagError) -> UserError:
    """Say of a flag that was renamed what it is called now."""
    former = error.flag.lstrip("-").split("=")[0].replace("-", "_")
    if former not in FORMER:
        return error
    part = former.rpartition(".")[0]
    name = ".".join(filter(None, (part, FORMER[former]))).replace("_", "-")
    return UserError(f"there is no flag {error.flag!r} any more. It is called '--{name}' now.")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. (See --help.)")
