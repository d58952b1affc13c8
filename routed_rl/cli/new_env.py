"""`new-env`: write a template of an environment that trains at once."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routed_rl.registry import Registry
from routed_rl.utils import settings
from routed_rl.utils.errors import UserError
from routed_rl.utils.settings import split_first


@dataclass(frozen=True)
class NewEnvSettings:
    """Nothing to set."""


def new_env(args: Sequence[str], prog: str = "new-env") -> int:
    """Write envs/NAME.py, in the checkout or else in the current folder."""
    name, flags = split_first(args)
    description = (
        f"Write a commented template of an environment into envs/NAME.py.\n\nusage: {prog} NAME"
    )
    settings.parse(NewEnvSettings, flags, prog=prog, description=description)
    if name is None:
        raise UserError(f"no name was given: {prog} NAME.")
    registry = Registry()
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise UserError(
            f"{name!r} cannot be a name: take letters, digits and _, a letter first, "
            "no word of Python's."
        )
    if name in registry.names("envs"):
        raise UserError(f"there is an environment {name!r} already: take another name.")
    folder = registry.root / "envs" if registry.in_checkout else Path("envs")
    path = folder / f"{name}.py"
    if path.exists():
        raise UserError(f"{path} exists already: take another name.")
    template = (registry.root / "envs" / "_template.py").read_text()
    folder.mkdir(exist_ok=True)
    path.write_text(template.replace("routed-rl check NAME", f"routed-rl check {name}"))
    print(
        f"Wrote {path}. Train in it with --env {name}; "
        f"see whether it keeps the contract with routed-rl check {name}."
    )
    return 0
