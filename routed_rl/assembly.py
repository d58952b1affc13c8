"""Puts a run together: from flags, from a yaml file, or from the folder that it wrote."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from routed_rl import checkpoint, config
from routed_rl.agent import Agent
from routed_rl.config import UserError
from routed_rl.plugins import Plugins
from routed_rl.run import Run
from routed_rl.settings import Choice

_TRAIN = """Train an agent in an environment.

  --env NAME         the environment: {envs}, an id of Gymnasium's, or a file (default {choice.env})
  --agent NAME       the method: {agents} (default {choice.agent})
  --list             say what environments and agents there are
  --plugin FILE      a file or module with another environment or agent; may be given again
  --config FILE      yaml with settings; flags win over it
  --run-dir DIR      folder for the run's files; a new one under runs/ unless given
  --resume DIR       continue the run in DIR; only --steps may change
"""


def build(args: Sequence[str], prog: str = "train.py") -> Run:
    """Build from the flags of `train` what it would train, without a folder."""
    given, flags = choose(args)
    plain = config.read_yaml(Path(given.config)) if given.config else {}
    return assemble(plain, flags, prog, env=given.env, agent=given.agent, plugins=given.plugin)


def assemble(
    plain: dict[str, Any],
    flags: Sequence[str],
    prog: str,
    *,
    env: str | None,
    agent: str | None,
    plugins: Sequence[str],
) -> Run:
    """Put a run together from a yaml file's settings and the flags that win over them."""
    plain = {name: dict(value) if isinstance(value, dict) else value for name, value in plain.items()}
    plugins = (*plain.pop("plugins", ()), *plugins)
    names = {}
    for part, given, default in (("env", env, Choice.env), ("agent", agent, Choice.agent)):
        settings = plain.get(part) or {}
        if not isinstance(settings, dict):
            raise UserError(f"{part} is {settings!r} in the yaml file: write it as '{part}: {{name: {settings}}}'.")
        in_file = settings.pop("name", None)
        names[part] = given or in_file or default
        if given is not None and in_file is not None and given != in_file:
            plain.pop(part)  # settings of another environment or agent than the one wanted
    choice = Choice(names["env"], names["agent"], plugins)
    found = Plugins(plugins)
    listed = {kind: ", ".join(found.names(kind)) for kind in ("envs", "agents")}
    return Run(choice, [*config.to_flags(plain), *flags], prog=prog, description=_TRAIN.format(choice=Choice, **listed))


def reopen(folder: Path, prog: str) -> tuple[Run, Agent]:
    """Rebuild a run's agent from its last checkpoint."""
    run = assemble(settings_of(folder), [], prog, env=None, agent=None, plugins=())
    agent = run.make_agent(run.make_env(1, seed=0))
    path = folder / "checkpoints" / "last.pt"
    run.restore(agent, checkpoint.load(path, run.device), path)
    return run, agent


def settings_of(folder: Path) -> dict[str, Any]:
    """Read the settings of a run."""
    if not (folder / "config.yaml").exists():
        raise UserError(f"{folder} is no run: give a folder with a config.yaml, as train.py makes under runs/.")
    return config.read_yaml(folder / "config.yaml")


def choose(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Take the flags that say what is trained and where out of the others, whose names depend on them."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in ("--env", "--agent", "--config", "--resume", "--run-dir"):
        parser.add_argument(name)
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    return parser.parse_known_args(args)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. (See --help.)")
