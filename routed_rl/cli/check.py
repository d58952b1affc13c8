"""`check`: say whether an environment or an agent keeps its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, make_dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from routed_rl.checks.result import CheckResult
from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.registry import Kind, Registry
from routed_rl.rollouts.attribution import attribute_errors
from routed_rl.training.builder import choose
from routed_rl.utils import settings
from routed_rl.utils.errors import UserError
from routed_rl.utils.settings import split_first


def check(args: Sequence[str], prog: str = "check") -> int:
    """Examine an environment or an agent point by point; the exit code is 1 if a point fails."""
    name, args = split_first(args)
    wanted, flags = choose(args)
    registry = Registry(wanted.plugin, GYMNASIUM)
    asks_for_help = bool({"-h", "--help"} & set(flags))
    if name is not None and wanted.agent is not None:
        raise UserError(f"{name} and --agent {wanted.agent} were given: check one at a time.")
    for flag in ("config", "resume", "run_dir"):
        if getattr(wanted, flag) is not None:
            raise UserError(f"--{flag.replace('_', '-')} is for train: leave it out.")
    if wanted.env is not None and wanted.agent is None:
        raise UserError(f"--env {wanted.env} says in which world to check an --agent: name one.")
    if name is None and wanted.agent is None and not asks_for_help:
        known = "|".join(registry.names("envs"))
        raise UserError(f"no environment was given: {prog} {known} [OPTIONS], or --agent NAME.")
    kind: Kind = "envs" if wanted.agent is None else "agents"
    name = wanted.agent or name or "gridworld"
    module = registry.load(kind, name)
    part = "env" if kind == "envs" else "agent"
    with attribute_errors(f"{part} {name}", module):
        parts = [(part, module.Config, field(default_factory=module.Config))]
        flags_class = make_dataclass("CheckFlags", parts)
        module.Config()  # what it raises is told as its own
    description = (
        "Say whether an environment or an agent keeps its contract.\n\n"
        f"usage: {prog} NAME [--plugin FILE] [OPTIONS], or {prog} --agent NAME [--env WORLD] "
        "[OPTIONS]"
    )
    given: Any = settings.parse(flags_class, flags, prog=prog, description=description)
    if kind == "envs":
        from routed_rl.checks.env_checker import check_env

        results = check_env(module, given.env)
    else:
        from routed_rl.checks.agent_checker import check_agent

        world = None if wanted.env is None else registry.load("envs", wanted.env)
        results = check_agent(module, given.agent, world=world)
    return _print(name, results)


def _print(name: str, results: Sequence[CheckResult]) -> int:
    """Print a row for each point; return the exit code."""
    table = Table("point", "", "what was found, and the remedy")
    for result in results:
        mark = "[green]ok[/green]" if result.passed else "[red]no[/red]"
        said = ""
        if not result.passed:
            said = f"{escape(result.fault)}.\n[bold]Remedy:[/bold] {escape(result.remedy)}"
        table.add_row(result.name, mark, said)
    Console().print(table)
    passed = sum(result.passed for result in results)
    print(f"{name} keeps {passed} of {len(results)} points.")
    return 0 if passed == len(results) else 1
