"""Whatever befalls a run at any of its file operations, nothing is lost and no bit is another."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import Server
from file_faults import CHANGES, Operations
from promise import Scenario, faults_of, judge

from .conftest import EVERY, Tally

PARTS = 3
"""Pieces of a kind's faults, for as many processes."""
KINDS = {
    "killed before": None,
    "killed after": CHANGES,
    **{kind: befalls for kind, (_, befalls, _) in Operations.ERRORS.items()},
    "disk full half-way": {"write"},
    "folder gone": None,
    "slow": None,
    **dict.fromkeys(("SIGTERM", "SIGTERM twice", "SIGINT", "SIGINT twice", "SIGHUP")),
}
"""Kind of fault -> the operations that it befalls, or any."""
SELDOM = {"slow", "SIGTERM", "SIGTERM twice", "SIGINT", "SIGINT twice", "SIGHUP"}
"""Kinds for which the operation matters less."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_at_any_operation(
    kind: str, part: int, run: Scenario, server: Server, tally: Tally, tmp_path: Path
) -> None:
    faults = faults_of(run, kind, KINDS[kind])
    # TensorBoard's thread does the same thing again and again.
    chosen = [fault for fault in faults if not fault.in_thread]
    chosen = chosen[:: EVERY * 5 if kind in SELDOM else EVERY]
    chosen += [fault for fault in faults if fault.in_thread][:: 13 * EVERY]
    for fault in chosen[part::PARTS]:
        folder = tmp_path / str(fault.at)
        play = replace(run.begin(folder), fault=fault)
        tally.judge(kind, lambda play=play: judge(server, run, play), fault)
        shutil.rmtree(folder, ignore_errors=True)
    assert tally.counts or part, "there was an operation to befall"
