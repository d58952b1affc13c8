"""Returns of what the runs of a sweep deploy."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from helpers import run

from benchmarks import deployed

WORLDS = {"small": "--env.rows 3 --env.columns 3", "looks": "--env looks"}
SMALL = "--num-envs 8 --steps 256 --agent.rollout-steps 16 --agent.hidden 8 --episodes 8"


def train(folder: Path, flags: str) -> None:
    assert run("--agent", "naive", *shlex.split(f"{flags} {SMALL}"), "--run-dir", str(folder)) == 0


def test_a_row_for_each_run_exact_where_it_can_be_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    out = tmp_path / "returns.csv"
    for name, flags in WORLDS.items():
        train(runs / name, flags)
    # Of naive the checkpoint that is best by labels is deployed: let it be that of another run.
    other = tmp_path / "other"
    train(other, f"{WORLDS['small']} --seed 1")
    best = runs / "small" / "checkpoints" / "best_by_labels.pt"
    shutil.copy(other / "checkpoints" / "last.pt", best)
    command = ["deployed.py", str(runs), str(out), "--episodes", "1024"]
    for only in (["--only", "small"], []):
        monkeypatch.setattr(sys, "argv", [*command, *only])
        deployed.main()
    assert capsys.readouterr().err.count("small: done") == 1, "it was there already"
    with out.open(newline="") as file:
        small, looks = csv.DictReader(file)
    report = json.loads((other / "result.json").read_text())["policies"]["policy"]
    assert (small["run"], small["exact"]) == ("small", "True")
    assert small["return"] == f"{report['return']:.5f}"
    assert small["unwatched"] == f"{report['unwatched']:.5f}"
    assert (looks["run"], looks["exact"]) == ("looks", "False")
    assert 0 < float(looks["standard_error"]) < 1 / 32, "1,024 episodes of returns between -1 and 1"
    assert -1 <= float(looks["return"]) <= 1


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no finished run"):
        deployed.finished(tmp_path, [])
