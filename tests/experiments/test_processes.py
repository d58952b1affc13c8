"""Commands in processes that begin with torch imported."""

from __future__ import annotations

import signal
from pathlib import Path

from helpers import TINY, train_tiny

from routed_rl.experiments import processes
from routed_rl.training.run_folder import read_result

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


def test_an_error_is_the_last_line_with_its_exit_code() -> None:
    code, said = processes.run(["train", "--env", "nothing"])
    assert code == 2
    assert said.splitlines()[-1].startswith("error: ")
    assert "nothing" in said


def test_a_killed_process_has_its_signal_as_exit_code(tmp_path: Path) -> None:
    plugin = tmp_path / "kills.py"
    plugin.write_text(PLUGIN)
    assert processes.run(["train", "--env", str(plugin)]) == (-signal.SIGKILL, "")
