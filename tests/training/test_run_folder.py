"""What a run's folder says of the run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from routed_rl.evaluation.report import Report
from routed_rl.training.run_folder import (
    PACKAGES,
    RunResult,
    charts,
    describe,
    new_folder,
    read_result,
    write_result,
)
from routed_rl.training.settings import RunNames
from routed_rl.utils.settings import read_yaml


def report(value: float) -> Report:
    return Report(true_return=value, exact=True, outcomes={"none": 1.0}, mean_length=3.0)


RESULT: RunResult = {
    "env": "gridworld",
    "agent": "naive",
    "seed": 3,
    "env_steps": 200,
    "train_seconds": 1.5,
    "labelled_episodes": 20,
    "sees_everything": False,
    "deployed": "policy",
    "policies": {"policy": report(0.5)},
    "references": {"best possible": 0.9},
    "best_by_labels": {"env_steps": 100, "policies": {"policy": report(0.75)}},
}


def test_a_result_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, RESULT)
    assert read_result(path) == RESULT
    plain = json.loads(path.read_text())
    assert list(plain) == list(RESULT)
    assert plain["policies"]["policy"]["return"] == 0.5
    assert plain["best_by_labels"]["policies"]["policy"]["return"] == 0.75


def test_an_older_result_has_no_references(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, RESULT)
    plain = json.loads(path.read_text())
    del plain["references"]
    path.write_text(json.dumps(plain))
    assert read_result(path) == RESULT | {"references": {}}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", ValueError),
        ("{}", KeyError),
        ("[]", TypeError),
        ('{"policies": {"p": {"exact": true}}}', TypeError),
        (None, OSError),
    ],
)
def test_what_is_no_result_raises(tmp_path: Path, text: str | None, error: type[Exception]) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error):
        read_result(path)


def test_a_new_folder_is_made_each_time(tmp_path: Path) -> None:
    names = RunNames("envs/rooms.py", "naive")
    folders = [new_folder(names, 7, tmp_path / "runs") for _ in range(3)]
    wanted = ["rooms-naive-7", "rooms-naive-7-2", "rooms-naive-7-3"]
    assert [folder.name for folder in folders] == wanted
    assert all(folder.is_dir() for folder in folders)


def test_settings_command_and_versions_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: dict[str, Any] = {"steps": 5, "env": {"name": "gridworld"}}
    for number in ("1", "2"):
        monkeypatch.setattr("sys.argv", ["train.py", "--name", f"run {number}"])
        describe(tmp_path, plain)
    assert read_yaml(tmp_path / "config.yaml") == plain
    commands = (tmp_path / "command.txt").read_text().splitlines()
    assert commands == ["train.py --name 'run 1'", "train.py --name 'run 2'"]
    lines = (tmp_path / "versions.txt").read_text().splitlines()
    versions = dict(line.split(" ", 1) for line in lines)
    assert set(versions) == {"python", "commit", *PACKAGES}
    assert versions["torch"] == metadata.version("torch")
    assert (tmp_path / "checkpoints").is_dir()


def test_each_measure_has_a_chart_with_all_policies() -> None:
    layout = charts(["mixture", "diamond"])["policies"]
    assert list(layout) == [
        *("return", "paid return", "bad outcomes per episode"),
        *("return unwatched", "steps per episode"),
    ]
    kind, tags = layout["return"]
    assert kind == "Multiline"
    assert tags == ["^eval/mixture/return$", "^eval/diamond/return$"]
    bad = layout["bad outcomes per episode"]
    assert bad[1] == ["^eval/mixture/bad_per_episode$", "^eval/diamond/bad_per_episode$"]
