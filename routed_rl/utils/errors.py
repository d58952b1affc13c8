"""Errors that the person who called can mend, and the nearest right name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the person who called can mend; the message is one line and says how."""


def nearest(name: str, known: Iterable[str], more: Iterable[str] = ()) -> str:
    """Suggest a name for one that is wrong.

    Args:
        name: the wrong one.
        known: the right ones, which are listed if none is near.
        more: other right ones, too many to be listed.

    Returns:
        "Did you mean 'x'?" or "Known: a, b, c."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, [*names, *more], n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."


def printable(text: str) -> str:
    """Write what is no letter, such as an end of line or a terminal's command, as Python does.

    Names may hold anything, and a message about them is one line.
    """
    return "".join(x if x.isprintable() else x.encode("unicode_escape").decode() for x in text)


def one_line(error: BaseException, most: int = 200) -> str:
    """Write an error as "Kind: message" in one line of at most `most` characters."""
    try:
        said = str(error)
    except Exception:  # somebody else's, and broken itself
        said = "it cannot be written"
    return " ".join(f"{type(error).__name__}: {said}".split())[:most]
