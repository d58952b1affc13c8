"""Stopping a run when somebody asks for it: Ctrl-C, or the SIGTERM of a queue."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Yield a list to which SIGINT and SIGTERM add themselves; a second one acts as usual.

    Python takes signals in its main thread only: in another one nothing is caught.
    """
    asked: list[int] = []
    usual: dict[int, Any] = {}

    def note(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, usual[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            usual[number] = signal.signal(number, note)
    except ValueError:  # not the main thread
        usual.clear()
    try:
        yield asked
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
