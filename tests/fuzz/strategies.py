"""Inputs as people and broken disks make them: odd words and values, changes of what was right."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

WORDS = (
    *("", " ", "-", "--", "-x", "--steps", "=", "a b", "a\nb", "\t", ".", "..", "../../x", "/"),
    *("none", "null", "true", "no", "nan", "-inf", "1e999", "1e308", "-0", "0x10", "9" * 5000),
    *("</script><script>alert(1)</script>", "<!--", "<img src=x onerror=alert(1)>", "'", '"', "&"),
    *("$x$", "$\\frac{$", "\\", "%s %d", "{0} {}", "[red]x[/red]", "[/]", "x" * 5000, "😀" * 90),
    *("\u202eabc", "\u2028", "é", "e\u0301", "\ufeff", "\ufffe", "\x1b[31m", "\udcff", "~", "*"),
    *("os:system", "os.path", "a.py", "x.py:f", "__init__", "None", "CON", "diamond", "gridworld"),
)
"""Each of these has broken some program."""
NUMBERS = (
    *(0, -1, 1, 2, 7, 100, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400),
    *(-0.0, 0.5, 1.5, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, 2.0**63),
)


def can_be_typed(word: str) -> bool:
    """Say whether a command line can hold a word: bytes without NUL, of any encoding."""
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


words = st.sampled_from(WORDS) | st.text(max_size=12)
numbers = st.sampled_from([str(x) for x in NUMBERS if x != 10**400])
arguments = (words | numbers).filter(can_be_typed)
"""What a shell can give."""
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), words, st.integers(), st.floats()
)
_flat = scalars | st.lists(scalars, max_size=3) | st.dictionaries(words, scalars, max_size=2)
values: SearchStrategy[Any] = st.one_of(
    scalars, _flat, st.lists(_flat, max_size=3), st.dictionaries(words, _flat, max_size=2)
)
"""Whatever json and yaml can hold."""


def deep(depth: int) -> Any:
    """Return lists in lists."""
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def _places(plain: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of nested dicts and lists, and of each of their parts."""
    yield here
    if isinstance(plain, dict | list):
        for key, value in plain.items() if isinstance(plain, dict) else enumerate(plain):
            yield from _places(value, (*here, key))


Edit = tuple[tuple[Any, ...], str, Any]
"""Where, what is done there, and what with."""


@dataclass(frozen=True)
class Changed:
    """A file that was right, and how it was changed: the changes say more than the bytes."""

    edits: list[Edit]
    plain: Any = field(repr=False)
    write: Callable[[Any], bytes] = field(repr=False)

    def __bytes__(self) -> bytes:
        """Change it, and write it."""
        box = [copy.deepcopy(self.plain)]
        for place, change, value in self.edits:
            with suppress(KeyError, IndexError, TypeError):  # likewise
                _edit(box, place, change, copy.deepcopy(value))
        return self.write(box[0] if box else None)


def _edit(box: list[Any], place: tuple[Any, ...], change: str, value: Any) -> None:
    """Do one edit to what is in a box."""
    *way, last = (0, *place)
    parent: Any = box
    for key in way:
        parent = parent[key] if isinstance(parent, dict | list) else None
    if not isinstance(parent, dict | list):
        return  # an edit before may have replaced it
    if change == "replace":
        parent[last] = value
    elif change == "remove":
        del parent[last]
    elif isinstance(parent, dict):
        parent[str(value)] = parent.pop(last)
    else:
        parent.append(parent[last])


def changed(
    plain: Any, write: Callable[[Any], bytes], junk: SearchStrategy[Any] = values
) -> SearchStrategy[Changed]:
    """Give other values to a few parts of nested dicts and lists, remove, rename or repeat them."""
    change = st.sampled_from(("replace", "replace", "replace", "remove", "rename"))
    edit = st.tuples(st.sampled_from(list(_places(plain))), change, junk | words)
    edits = st.lists(edit, min_size=1, max_size=1) | st.lists(edit, min_size=1, max_size=3)
    return st.builds(Changed, edits, st.just(plain), st.just(write))


@dataclass(frozen=True)
class Spoilt:
    """A file that was right, and what became of its bytes."""

    edits: list[tuple[int, str, bytes]]
    data: bytes = field(repr=False)

    def __bytes__(self) -> bytes:
        """Spoil it."""
        found = bytearray(self.data)
        for at, change, piece in self.edits:
            behind = at + len(piece) * (change in ("overwrite", "drop"))
            if change == "cut":
                del found[at:]
            elif change == "repeat":
                found[at:at] = found[at : at + 200] * len(piece)
            else:
                found[at:behind] = b"" if change == "drop" else piece
        return bytes(found)


def spoilt(data: bytes) -> SearchStrategy[Spoilt]:
    """Cut, overwrite, insert, drop or repeat bytes in a few places."""
    change = st.sampled_from(("cut", "overwrite", "insert", "drop", "repeat"))
    piece = st.binary(max_size=8) | st.sampled_from(PIECES)
    edit = st.tuples(st.integers(0, len(data)), change, piece)
    return st.builds(Spoilt, st.lists(edit, min_size=1, max_size=4), st.just(data))


PIECES = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3(", b"\r\n", b"\n\n", b",", b"{", b"[" * 3000),
    *(b"NaN", b"-1e999", b"9" * 5000, b"null", b'"', b"</script>", b"\x7f" * 8, b"\xff" * 8),
)


def lines_of(items: Iterable[str]) -> bytes:
    """Write lines as a file holds them, whatever letters they have."""
    return "\n".join(items).encode("utf-8", "surrogatepass")
