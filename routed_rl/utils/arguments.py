"""What commands have in common: a first argument before the flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def split_first(args: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Take a first argument that is no flag from the others; None if there is none."""
    if args and not args[0].startswith("-"):
        return args[0], args[1:]
    return None, args


def split_path(args: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """Take a path likewise."""
    first, rest = split_first(args)
    return None if first is None else Path(first), rest
