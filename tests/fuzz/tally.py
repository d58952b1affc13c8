"""What came of the inputs of a target."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field

from guard import Broken


@dataclass
class Tally:
    """How many inputs were tried, and what went wrong."""

    tried: int = 0
    seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    """What went wrong, and where -> the shortest input that did it."""
    count: Counter[str] = field(default_factory=Counter)

    def note(self, fault: str, given: str, times: int = 1) -> None:
        """Keep an input that went wrong, if it is the shortest."""
        self.count[fault] += times
        if fault not in self.faults or len(given) < len(self.faults[fault]):
            self.faults[fault] = given

    def add(self, other: Tally) -> None:
        """Count what another round came to."""
        self.tried += other.tried
        self.seconds += other.seconds
        for fault, given in other.faults.items():
            self.note(fault, given, other.count[fault])

    def print(self, name: str) -> None:
        """Print a row of a table."""
        numbers = f"{self.tried:>8,} inputs {self.seconds:>7,.0f} s {len(self.faults):>4} faults"
        print(f"{name:<12} {numbers}")

    def print_faults(self) -> None:
        """Print what went wrong."""
        for fault, given in self.faults.items():
            print(f"\n{fault} ({self.count[fault]} times)\n  {given[:2000]}")


def describe(error: BaseException) -> str:
    """Say what was raised, and by which line of the program."""
    try:
        said = str(error)[:200]
    except Exception:  # an odd environment's own
        said = "..."
    kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/tests/" not in frame.filename]
    where = next((f for f in reversed(own) if "/site-packages/" not in f.filename), None)
    place = "" if where is None else f" ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
    return f"{kind}{said}{place}"
