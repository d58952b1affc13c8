"""`evaluate --dial` on runs that took a second."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from helpers import train_tiny

from routed_rl.cli.evaluate import evaluate
from routed_rl.cli.main import run_command

FEW = "--weights 0.5 -1 0 --episodes 300"


def run(folder: Path, flags: str) -> int:
    return run_command(evaluate, [str(folder), *shlex.split(flags)])


def read_json(capsys: pytest.CaptureFixture[str], folder: Path, flags: str) -> Any:
    capsys.readouterr()
    assert run(folder, f"--json {flags}") == 0
    return json.loads(capsys.readouterr().out)


def test_at_weight_0_stands_the_deployed_policy(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_json(capsys, trained, f"--dial {FEW} --flagged-at-most 1.5")
    assert [point["weight"] for point in found["points"]] == [-1.0, 0.0, 0.5]
    plain = read_json(capsys, trained, "")["diamond"]
    ablated = found["points"][1]
    assert ablated["return"] == plain["return"]
    assert ablated["exact"], "the episodes are for flags alone"
    assert ablated["outcomes_per_episode"] == plain["outcomes_per_episode"]
    assert ablated["flag_episodes"] == 300
    assert found["chosen"] == 0.5, "any policy keeps a bound of one and a half in an episode"
    steered = read_json(capsys, trained, "--steer diamond=2 ghost=-1")["diamond=2 ghost=-1"]
    assert found["points"][0]["return"] == pytest.approx(steered["return"])


def test_all_is_seen_at_oversight_1_and_a_tenth_of_it_is_the_bound(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_json(capsys, trained, "--dial --weights 1 --episodes 4000 --oversight 1")
    assert found["flagged_at_most"] == pytest.approx(0.1)
    assert found["chosen"] is None
    (point,) = found["points"]
    ghosts = point["outcomes_per_episode"]["ghost"]
    error = (ghosts * (1 - ghosts) / 4000) ** 0.5
    assert point["flagged_per_episode"] == pytest.approx(ghosts, abs=4 * error)
    found = read_json(capsys, trained, "--dial --weights 1 --episodes 10")
    assert found["flagged_at_most"] == pytest.approx(0.01)


def test_the_table_marks_what_is_chosen_and_says_how_to_take_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "dial.png"
    capsys.readouterr()
    assert run(trained, f"--dial {FEW} --flagged-at-most 1.5 --plot {plot}") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert [line for line in lines if "│ 0.5 " in line and "chosen by labels" in line]
    assert [line for line in lines if "│ 0 " in line and "ablated" in line]
    assert out.count("best by truth (cheats)") == 1
    assert "To take it: --steer diamond=0.5 ghost=0.5, with" in out
    assert f"Wrote {plot}." in lines
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_where_nothing_can_pass_it_says_what_it_takes(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(trained, f"--dial {FEW} --flagged-at-most 0.001") == 0
    out = capsys.readouterr().out
    assert "No weight is chosen" in out
    assert "It takes 2,996 episodes without any flag" in out
    assert run(trained, f"--dial {FEW} --oversight 1 --flagged-at-most 0.02") == 0
    assert "Allow more by --flagged-at-most" in capsys.readouterr().out


def test_one_network_has_nothing_to_dial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_tiny(tmp_path / "one", 128, "--agent", "naive")
    capsys.readouterr()
    assert run(tmp_path / "one", "--dial --episodes 100") == 0
    out = capsys.readouterr().out
    assert "This agent has one network: there is nothing to dial." in out
    assert "Chosen" not in out
    assert len([line for line in out.splitlines() if line.startswith("│")]) == 1
