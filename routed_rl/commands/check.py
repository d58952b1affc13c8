"""`check`: say whether an environment keeps its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, make_dataclass

import torch
from rich.console import Console
from rich.table import Table

from routed_rl import config, contract
from routed_rl.assembly import choose
from routed_rl.config import UserError
from routed_rl.guard import blame
from routed_rl.plugins import Plugins


def check(args: Sequence[str], prog: str = "check") -> int:
    """Examine an environment point by point; the exit code is 1 if a point fails."""
    name, args = (args[0], args[1:]) if args and not args[0].startswith("-") else (None, args)
    given, flags = choose(args)
    plugins = Plugins(given.plugin)
    if name is None and not {"-h", "--help"} & set(flags):
        raise UserError(f"no environment was given: {prog} {'|'.join(plugins.names('envs'))} [OPTIONS].")
    module = plugins.load("envs", name or "gridworld")
    with blame(f"environment {name}", module):
        settings_class = make_dataclass("CheckSettings", [("env", module.Config, field(default_factory=module.Config))])
    description = f"Say whether an environment keeps its contract.\n\nusage: {prog} NAME [--plugin FILE] [OPTIONS]"
    settings = config.parse(settings_class, flags, prog=prog, description=description)
    points = contract.check(module, settings.env, device=torch.device("cpu"))
    failed = [point for point in points if not point.passed]
    table = Table("point", "", "what was found, and the remedy")
    for point in points:
        said = "" if point.passed else f"{point.fault}.\n[bold]Remedy:[/bold] {point.remedy}"
        table.add_row(point.name, "[green]ok[/green]" if point.passed else "[red]no[/red]", said)
    Console().print(table)
    print(f"{name} keeps {len(points) - len(failed)} of {len(points)} points.")
    return 1 if failed else 0
