"""episodes.csv: a row for each outcome and each end, what was known of it, and what it trained."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import BY_HAND, CPU, OPEN, by_hand, run, train_tiny, two_open_episodes, world

from routed_rl.agents import routed
from routed_rl.rollouts import labels
from routed_rl.training.logs.episode_log import COLUMNS, EpisodeLog


def rows(folder: Path, name: str = "episodes.csv") -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def test_it_has_a_row_for_each_episode_and_survives_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, 512, "--episode-log", "--env.oversight", "0.5")
    assert run("--resume", str(folder), "--steps", "1024") == 0
    found = rows(folder)
    metrics = rows(folder, "metrics.csv")
    assert len(found) == sum(float(row["rollout/episodes"] or 0) for row in metrics)
    steps = [int(row["env_steps"]) for row in found]
    assert steps == sorted(steps)
    assert steps[-1] <= 1024
    for row in found:
        outcome = row["outcome"]
        unseen = "nothing" if outcome == "none" else "unknown"
        overseen = row["overseen"] == "1"
        assert row["label"] == (outcome if overseen else unseen)
        assert row["route"] == (outcome if overseen else "all")
        assert 0 <= float(row["gate"]) <= 1
        assert row["ended"] == "1", "outcomes end episodes"


@pytest.mark.parametrize("routes", ["none", "random"])
def test_it_tells_the_routes_that_were_taken(tmp_path: Path, routes: str) -> None:
    flags = ("--episode-log", "--env.oversight", "0.9", "--agent.routes", routes)
    train_tiny(tmp_path / "run", 512, *flags)
    overseen = [row for row in rows(tmp_path / "run") if row["overseen"] == "1"]
    assert overseen
    if routes == "none":
        assert {row["route"] for row in overseen} == {"all"}
    else:
        assert any(row["route"] != row["label"] for row in overseen)


def test_of_practised_deployments_it_names_who_acted(tmp_path: Path) -> None:
    flags = ("--episode-log", "--agent", "absorbing", "--agent.practice", "0.5")
    train_tiny(tmp_path / "run", 512, *flags)
    assert {row["route"] for row in rows(tmp_path / "run")} == {"all", "diamond", "ghost"}


def test_rows_by_hand(tmp_path: Path) -> None:
    # In four steps environment 0 reaches a diamond unseen and runs out of time; environment 1
    # reaches a ghost overseen, and its second episode still runs.
    rollout = by_hand(
        outcome=[[0, 0], [1, 0], [0, 2], [0, 0]],
        overseen=[[0, 0], [0, 0], [0, 1], [0, 0]],
        truncated=[[0, 0], [0, 0], [0, 0], [1, 0]],
    )
    env = world(2)
    config = routed.Config(hidden=(4,), gate=False)
    agent = routed.Agent(env.spec, config, seed=0, device=CPU)
    agent.grad_mask = torch.tensor([True, False, True]).expand(4, 2, 3)
    log = EpisodeLog(tmp_path / "episodes.csv", env.spec, up_to=0)
    boards = {"obs": env.reset().expand(4, -1, -1, -1, -1)}
    shown = type(rollout)(**vars(rollout) | boards)
    log.write(shown, labels.hide(rollout, BY_HAND).label, agent, env_steps=108)
    lines = (tmp_path / "episodes.csv").read_text().splitlines()
    assert lines == [
        ",".join(COLUMNS),
        "104,0,diamond,0,unknown,diamond,,1",
        "106,1,ghost,1,ghost,diamond,,1",
        "108,0,none,0,nothing,diamond,,1",
    ]
    EpisodeLog(tmp_path / "episodes.csv", env.spec, up_to=106)
    assert (tmp_path / "episodes.csv").read_text().splitlines() == lines[:3]


def test_an_outcome_in_the_middle_of_an_episode_has_a_row_of_its_own(tmp_path: Path) -> None:
    rollout = two_open_episodes()
    env = world(2)
    agent: Any = routed.Agent(env.spec, routed.Config(hidden=(4,), gate=False), seed=0, device=CPU)
    log = EpisodeLog(tmp_path / "episodes.csv", env.spec, up_to=0)
    boards = {"obs": env.reset().expand(5, -1, -1, -1, -1)}
    shown = type(rollout)(**vars(rollout) | boards)
    log.write(shown, labels.hide(rollout, OPEN).label, agent, env_steps=110)
    assert (tmp_path / "episodes.csv").read_text().splitlines() == [
        ",".join(COLUMNS),
        "104,0,ghost,1,ghost,all,,0",
        "104,1,ghost,0,unknown,all,,0",
        "106,0,diamond,1,diamond,all,,0",
        "106,1,diamond,0,unknown,all,,0",
        "108,0,none,1,nothing,all,,1",
        "108,1,none,0,unknown,all,,1",
    ]
