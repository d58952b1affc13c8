"""What the fault tests share: warm processes, two runs that shall stand everything, and the log."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import Server
from promise import DIFFERENT, LOST, TINY, UNCLEAR, VERDICTS, BrokenPromiseError, Scenario, scenario

EVERY = int(os.environ.get("EVERY", "3"))
"""Faults of files strike every so many operations: `make faults EVERY=1` leaves none out."""


class Tally:
    """Counts how runs ended after each kind of fault, and what broke the promise."""

    def __init__(self) -> None:
        """Start with none."""
        self.counts: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []

    def add(self, kind: str, verdict: str, count: int = 1) -> None:
        """Note how so many faults of a kind ended."""
        self.counts[kind, verdict] += count

    def judge(self, kind: str, find: Callable[[], str], what: object) -> None:
        """Note how one ended; a broken promise is told when all have had their turn."""
        try:
            self.add(kind, find())
        except BrokenPromiseError as error:
            self.add(kind, error.verdict)
            self.broken.append(f"{kind}, {what}: {error.verdict}: {error}")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Count this test's faults; afterwards none may have broken the promise."""
    tally = Tally()
    yield tally
    request.node.user_properties.append(("faults", [*map(list, tally.counts.items())]))
    assert not tally.broken, "\n".join(tally.broken[:20])


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs without a fault lie."""
    return tmp_path_factory.mktemp("faultless")


@pytest.fixture(scope="session")
def new(server: Server, home: Path) -> Scenario:
    """A run from its first file to its page."""
    return scenario(server, home / "new", None, TINY)


@pytest.fixture(scope="session")
def resumed(server: Server, home: Path, new: Scenario) -> Scenario:
    """The same run, finished, with a person's notes in its folder, which goes on to more steps."""
    (home / "new" / "notes").write_text("mine")
    return scenario(server, home / "resumed", home / "new", ("--steps", "384"))


@pytest.fixture(params=["new", "resumed"])
def run(request: pytest.FixtureRequest) -> Scenario:
    """Each of the two."""
    return request.getfixturevalue(request.param)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how every kind of fault ended."""
    counts: Counter[tuple[str, str]] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, found in getattr(report, "user_properties", ()):
                if name == "faults" and report.when == "teardown":
                    counts.update({tuple(key): count for key, count in found})
    if not counts:
        return
    terminalreporter.section("faults")
    kinds = list(dict.fromkeys(kind for kind, _ in counts))
    rows = [[kind, *(counts[kind, verdict] for verdict in VERDICTS)] for kind in sorted(kinds)]
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    terminalreporter.write_line(_line(["kind of fault", "injected", *VERDICTS]))
    for kind, *row in rows:
        terminalreporter.write_line(_line([kind, sum(row), *row]))
    harmed = sum(counts[key] for key in counts if key[1] in (LOST, DIFFERENT, UNCLEAR))
    terminalreporter.write_line(f"{harmed} broke the promise.")


def _line(cells: list[Any]) -> str:
    first, *others = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return f"{first:<30}" + "".join(f"{cell:>19}" for cell in others)
