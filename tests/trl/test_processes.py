"""What only processes can show: two that train together, and one that is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

PROGRAM = ROOT / "tests" / "support" / "language_run.py"


def together() -> list[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meeting = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    return ["-m", "torch.distributed.run", "--nproc-per-node", "2", *meeting]


def run(*arguments: object, launcher: list[str] | None = None) -> int:
    command = [sys.executable, "-W", "ignore", *(launcher or []), str(PROGRAM)]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if "lo" in dict(map(reversed, socket.if_nameindex())):
        surroundings["GLOO_SOCKET_IFNAME"] = "lo"  # no name is to be looked up
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(done.stderr)
    return done.returncode


def test_two_processes_of_grpo_share_groups_and_flags(tmp_path: Path) -> None:
    run("grpo", tmp_path, launcher=together())
    losses = json.loads((tmp_path / "losses.json").read_text())
    assert len(losses) == 6
    assert any(float(loss) != 0 for loss in losses)


@pytest.mark.parametrize("kind", ["sft", "rare", "dpo"])
def test_two_processes_train_what_one_trains(tmp_path: Path, kind: str) -> None:
    run(kind, tmp_path / "one")
    run(kind, tmp_path / "two", launcher=together())
    one, two = (torch.load(tmp_path / name / "ended.pt") for name in ("one", "two"))
    trained = [name for name in one if ".lora_" in name]
    assert trained
    for name in trained:
        torch.testing.assert_close(two[name], one[name], atol=1e-9, rtol=1e-9)


def test_a_killed_run_goes_on_as_if_unbroken(tmp_path: Path) -> None:
    assert run("grpo", tmp_path / "unbroken") == 0
    assert run("grpo", tmp_path / "killed", 5) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "losses.json").exists()
    assert run("grpo", tmp_path / "killed") == 0
    losses = [
        json.loads((tmp_path / n / "losses.json").read_text()) for n in ("unbroken", "killed")
    ]
    assert losses[0] == losses[1]
    ends = [torch.load(tmp_path / name / "ended.pt") for name in ("unbroken", "killed")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
