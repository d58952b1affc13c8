"""How far a piece of work has come, and how long it will take, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

QUIET_SECONDS = 10.0
"""Where there is no terminal, lines come at least so far apart: short work says nothing."""
_LINES = 10  # of one piece of work at most

Item = TypeVar("Item")


class Progress:
    """A bar on a terminal, which goes when the work is done; elsewhere a line now and then."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        """Begin.

        Args:
            what: is done, such as "evaluating".
            total: how many there are to do.
            unit: what they are, in the plural.
        """
        self._what = f"{what}: "
        self.total = total
        self._unit = unit
        self.done = 0
        self._began = self._said = time.monotonic()
        self._lines = 0
        self._bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            leave=False,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Progress:
        """Go on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.close()

    def advance(self, count: int = 1) -> None:
        """Say that some more are done."""
        self.done += count
        self._bar.update(count)
        if not self._bar.disable or self.done >= self.total:
            return
        now = time.monotonic()
        part = _LINES * self.done // self.total
        if part > self._lines and now - self._said >= QUIET_SECONDS:
            self._lines = part
            self._said = now
            done = f"{self.done:,} of {self.total:,} {self._unit}"
            left = time_left(self.done / self.total, now - self._began)
            print(f"{self._what}{done}, {left}", file=sys.stderr, flush=True)


def track(items: Sequence[Item], what: str, unit: str) -> Iterator[Item]:
    """Yield items, and show how many are done; for the arguments see `Progress`."""
    with Progress(what, len(items), unit) as progress:
        for item in items:
            yield item
            progress.advance()


def time_left(part: float, seconds: float) -> str:
    """Say how long work will take, of which a part, from 0 to 1, took these seconds."""
    if part <= 0:
        return "time left unknown"
    left = seconds / part * (1 - part)
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if left >= 1.5 * size:
            return f"about {left / size:.0f} {unit} left"
    return f"about {left:.0f} s left"
