"""A run of a sweep that dies, and a sweep that dies: the same command again leads to the same bits.

A node of Ray that dies is in tests/sweeps/test_transfer.py.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT
from promise import DIFFERENT, LOST, RESUMED, BrokenPromiseError, check_whole, differences, picture

from routed_rl.sweeps import sweep
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import locked

from .conftest import Tally

TOML = """
seeds = [0, 1]
[flags]
agent = "naive"
steps = 4096
evaluations = 4
num-envs = 8
"env.rows" = 2
"env.columns" = 2
"agent.hidden" = [4]
"agent.rollout-steps" = 8
[[grid]]
"env.oversight" = [0.5, 1.0]
"""


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "tiny.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def whole(toml: Path) -> dict[str, dict[str, object]]:
    """What is in the folders of a sweep to which nothing happens."""
    out = toml.parent / "whole"
    assert start(toml, out).wait() == 0
    return {task.name: picture(task.folder) for task in sweep.read(toml, out)}


def start(toml: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "sweep.py", str(toml), "--out", str(out), "--jobs", "2"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["a run of a sweep", "a sweep"])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_command_again_leads_to_the_same_bits(
    victim: str,
    seed: int,
    toml: Path,
    whole: dict[str, dict[str, object]],
    tally: Tally,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    draw = random.Random(seed)
    first = start(toml, out)
    tasks = sweep.read(toml, out)

    def judge() -> str:
        time.sleep(draw.uniform(0.0, 0.5))
        pid = first.pid if victim == "a sweep" else writer_of(out)
        os.kill(pid, signal.SIGKILL)
        code = first.wait()
        if victim != "a sweep" and code == 0:
            raise BrokenPromiseError(LOST, "a run was killed, and nobody says so")
        until_free(out)
        for task in tasks:
            check_whole(task.folder)
        if start(toml, out).wait() != 0:
            raise BrokenPromiseError(LOST, "it does not go on")
        for task in tasks:
            if found := differences(whole[task.name], picture(task.folder)):
                raise BrokenPromiseError(DIFFERENT, f"{task.name}: {found}")
        return RESUMED

    tally.judge(f"{victim} killed", judge, seed)


def writer_of(out: Path) -> int:
    """Wait for a process that trains in one of the folders; return its number."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and holds_a_lock(process, out):
                return int(process.name)
        time.sleep(0.01)
    raise AssertionError("no run began")


def holds_a_lock(process: Path, out: Path) -> bool:
    """Say whether a process has a lock below a folder open."""
    try:
        opened = [os.readlink(one) for one in (process / "fd").iterdir()]
    except OSError:  # it has ended, or is somebody else's
        return False
    return any(one.startswith(str(out)) and one.endswith(".lock") for one in opened)


def until_free(out: Path) -> None:
    """Wait until nobody trains in any of the folders: who lost its parent saves and stops."""
    for folder in out.iterdir() if out.exists() else ():
        for _ in range(600):
            try:
                with locked(folder):
                    break
            except UserError:
                time.sleep(0.1)
