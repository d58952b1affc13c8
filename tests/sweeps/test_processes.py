"""Commands in processes that begin with torch imported."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import ROOT, TINY, train_tiny

from routed_rl.sweeps import processes
from routed_rl.training.run_folder import read_result
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import locked

PLUGIN = """
import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_is_that_of_this_process_to_the_bit(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    train_tiny(here)
    flags = ["train", *TINY, "--steps", "1024", "--evaluations", "2", "--run-dir", str(there)]
    code, said = processes.run(flags)
    assert code == 0
    assert f"Saved in {there}" in said
    policies = [read_result(folder / "result.json")["policies"] for folder in (here, there)]
    assert policies[0] == policies[1]


@pytest.mark.slow
def test_many_at_a_time_have_each_their_own_exit_code() -> None:
    # Starting one looks at all others: their codes must not be lost.
    with ThreadPoolExecutor(8) as pool:
        codes = [code for code, _ in pool.map(processes.run, [["train", "--env", "?"]] * 24)]
    assert codes == [2] * 24


def test_an_error_is_the_last_line_with_its_exit_code() -> None:
    code, said = processes.run(["train", "--env", "nothing"])
    assert code == 2
    assert said.splitlines()[-1].startswith("error: ")
    assert "nothing" in said


def test_a_killed_process_has_its_signal_as_exit_code(tmp_path: Path) -> None:
    plugin = tmp_path / "kills.py"
    plugin.write_text(PLUGIN)
    assert processes.run(["train", "--env", str(plugin)]) == (-signal.SIGKILL, "")


def test_a_run_saves_and_stops_when_who_waits_for_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    args = ["train", *TINY, "--steps", "100000000", "--run-dir", str(folder)]
    script = f"from routed_rl.sweeps import processes; processes.run({args})"
    waiting = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    last = folder / "checkpoints" / "last.pt"
    until(last.exists)
    first = last.read_bytes()
    waiting.kill()
    waiting.wait()
    until(lambda: is_free(folder))
    assert last.read_bytes() != first


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, half a minute at most."""
    for _ in range(300):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def is_free(folder: Path) -> bool:
    """Say whether nobody trains in a run's folder."""
    try:
        with locked(folder):
            return True
    except UserError:
        return False
