"""A run whose stdin, stdout or stderr is closed, broken or full stands where it was."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fault_server import Play, Server
from helpers import ROOT
from promise import (
    DIFFERENT,
    RESUMED,
    UNCLEAR,
    BrokenPromiseError,
    Scenario,
    check_whole,
    differences,
    finish,
    is_complete,
    picture,
)

from .conftest import Tally

ENDS = {
    "stdin closed": ("{} <&-", {0}),
    "stdout closed": ("{} >&-", {0}),
    "stderr closed": ("{} 2>&-", {0}),
    "all closed": ("{} <&- >&- 2>&-", {0}),
    "stdout is a closed pipe": ("{} | true", {1}),
    "stderr is a closed pipe": ("{} 2> >(true)", {0, 1}),
    "stdout is full": ("{} > /dev/full", {2}),
    "stderr is full": ("{} 2> /dev/full", {0, 1}),
}
"""What is done to the streams -> how, and the exit codes that it may have."""


@pytest.mark.slow
@pytest.mark.parametrize("case", ENDS)
def test_a_stream_that_is_gone_costs_nothing(
    case: str, server: Server, new: Scenario, tally: Tally, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = shlex.join([sys.executable, "train.py", *new.begin(folder).args])
    line, codes = ENDS[case]

    def judge() -> str:
        shell = ["bash", "-o", "pipefail", "-c", line.format(command)]
        done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=False)
        errors = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
        told = done.returncode != 2 or (done.stderr.splitlines() == errors and len(errors) == 1)
        if done.returncode not in codes or "Traceback" in done.stderr or not told:
            raise BrokenPromiseError(UNCLEAR, f"exit code {done.returncode}: {done.stderr}")
        check_whole(folder)
        verdict = RESUMED if is_complete(folder, new.steps) else finish(server, new, folder)
        if found := differences(new.picture, picture(folder)):
            raise BrokenPromiseError(DIFFERENT, f"{found}")
        return verdict

    tally.judge("streams closed or full", judge, case)


@pytest.mark.slow
def test_a_page_that_cannot_be_written_leaves_the_run_whole(
    server: Server, new: Scenario, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert (
        server.play(Play([*new.args, "--no-page", "--run-dir", str(folder)], folder))[0].code == 0
    )
    assert not (folder / "report.html").exists()
    assert differences(new.picture, picture(folder)) == []
