from __future__ import annotations

import csv
from pathlib import Path

import pytest
from helpers import TINY

from routed_rl.cli import run_command
from routed_rl.commands.train import train


def train_tiny(folder: Path, *more: str) -> None:
    assert run_command(train, [*TINY, "--steps", "512", "--evaluations", "2", "--run-dir", str(folder), *more]) == 0


def test_a_trace_has_a_row_for_each_episode_and_survives_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, "--trace", "--env.oversight", "0.5")
    assert run_command(train, ["--resume", str(folder), "--steps", "1024"]) == 0
    with (folder / "episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "metrics.csv").open() as file:
        assert len(rows) == sum(float(row["rollout/episodes"]) for row in csv.DictReader(file))
    steps = [int(row["env_steps"]) for row in rows]
    assert steps == sorted(steps) and steps[-1] <= 1024
    for row in rows:
        seen = row["overseen"] == "1"
        assert row["label"] == (row["outcome"] if seen else "nothing" if row["outcome"] == "none" else "unknown")
        assert row["route"] == (row["outcome"] if seen else "all")
        assert 0 <= float(row["gate"]) <= 1


@pytest.mark.parametrize("routes", ["none", "random"])
def test_the_trace_tells_the_routes_that_were_taken(tmp_path: Path, routes: str) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, "--trace", "--env.oversight", "0.9", "--agent.routes", routes)
    with (folder / "episodes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["overseen"] == "1"]
    assert rows
    if routes == "none":
        assert {row["route"] for row in rows} == {"all"}
    else:
        assert any(row["route"] != row["label"] for row in rows)


def test_the_trace_of_practised_deployments_names_who_acted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, "--trace", "--agent", "absorbing", "--agent.practice", "0.5")
    with (folder / "episodes.csv").open() as file:
        routes = {row["route"] for row in csv.DictReader(file)}
    assert routes == {"all", "diamond", "ghost"}
