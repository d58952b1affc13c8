"""Returns of what the runs of a sweep deploy."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import deployed
from routed_rl.cli import run_command
from routed_rl.commands.train import train

SMALL = ["--num-envs", "8", "--steps", "256", "--agent.rollout-steps", "16", "--agent.hidden", "8", "--episodes", "8"]


def test_a_row_for_each_run_exact_where_it_can_be_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "returns.csv"
    worlds = {"small": ["--env.rows", "3", "--env.columns", "3"], "looks": ["--env", "looks"]}
    for name, flags in worlds.items():
        assert run_command(train, ["--agent", "naive", *flags, *SMALL, "--run-dir", str(runs / name)]) == 0
    other = tmp_path / "other"
    assert (
        run_command(train, ["--agent", "naive", *worlds["small"], *SMALL, "--seed", "1", "--run-dir", str(other)]) == 0
    )
    shutil.copy(other / "checkpoints" / "last.pt", runs / "small" / "checkpoints" / "best_by_labels.pt")
    monkeypatch.setattr(sys, "argv", ["deployed.py", str(runs), str(out), "--episodes", "1024", "--only", "small"])
    deployed.main()
    monkeypatch.setattr(sys, "argv", ["deployed.py", str(runs), str(out), "--episodes", "1024"])
    deployed.main()
    assert "small: done" not in capsys.readouterr().err.split("small: done", 1)[1], "it was there already"
    with out.open(newline="") as file:
        small, looks = csv.DictReader(file)
    report = json.loads((other / "result.json").read_text())["policies"]["policy"]
    assert (small["run"], small["exact"], small["return"]) == ("small", "True", f"{report['return']:.5f}")
    assert small["unwatched"] == f"{report['unwatched']:.5f}"
    assert (looks["run"], looks["exact"]) == ("looks", "False")
    assert 0 < float(looks["standard_error"]) < 1 / 32, "1,024 episodes of returns between -1 and 1"
    assert -1 <= float(looks["return"]) <= 1
