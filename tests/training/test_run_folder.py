"""What a run's folder says of the run."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from fake_runs import fake_run

from routed_rl.evaluation.report import Report
from routed_rl.training import builder
from routed_rl.training.run_folder import (
    PACKAGES,
    RunResult,
    claim,
    describe,
    new_folder,
    read_result,
    release,
    run_name,
    write_result,
)
from routed_rl.utils.errors import UserError
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
    config = builder.build(("--agent", "naive", "--seed", "7")).config
    folders = [new_folder(config, tmp_path / "runs") for _ in range(3)]
    name = "naive_gridworld_seed-7"
    assert [folder.name for folder in folders] == [name, f"{name}_2", f"{name}_3"]
    assert all(folder.is_dir() for folder in folders)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("", "routed_gridworld_seed-0"),
        ("--steps 800000 --device cpu --episode-log --evaluations 3", "routed_gridworld_seed-0"),
        (
            "--steps 2000 --env.oversight 0.3 --agent.no-gate --agent.hidden 8 4",
            "routed_gridworld_oversight-0.3_hidden-8+4_no-gate_steps-2000_seed-0",
        ),
        (
            "--env.where examples/sight.py:left_half --seed 3",
            "routed_gridworld_where-sight-left_half_seed-3",
        ),
        (
            "--env FrozenLake-v1 --env.kwargs is_slippery=False --agent naive",
            "naive_FrozenLake-v1_kwargs-is_slippery=False_seed-0",
        ),
        (
            "--config paper --agent.unflagged good --agent.weight-decay 0.5",
            "routed_gridworld_algorithm-reinforce_learning-rate-5e-05_more-8_seed-0",
        ),
    ],
)
def test_a_run_is_named_after_what_was_changed(flags: str, name: str) -> None:
    assert run_name(builder.build(flags.split()).config) == name
    assert len(name) <= 80
    assert re.fullmatch(r"[\w.,=+-]+", name)


def test_settings_command_and_versions_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: dict[str, Any] = {"steps": 5, "env": {"name": "gridworld"}}
    for program in ("train.py", "/home/me/lib/routed_rl/__main__.py"):
        monkeypatch.setattr("sys.argv", [program, "train", "--name", "a run"])
        describe(tmp_path, plain)
    assert read_yaml(tmp_path / "config.yaml") == plain
    commands = (tmp_path / "command.txt").read_text().splitlines()
    typed = "train --name 'a run'"
    assert commands == [f"train.py {typed}", f"python -m routed_rl {typed}"]
    lines = (tmp_path / "versions.txt").read_text().splitlines()
    versions = dict(line.split(" ", 1) for line in lines)
    assert set(versions) == {"python", "commit", *PACKAGES}
    assert versions["torch"] == metadata.version("torch")
    assert (tmp_path / "checkpoints").is_dir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "one"}, "seed is 'one', and no int"),
        ({"deployed": "nobody"}, "deployed is 'nobody', which is none"),
        ({"references": {"best possible": None}}, "best possible is 'None', and no float"),
        ({"best_by_labels": 3}, "'3' holds nothing by name"),
        ({"policies": {"policy": {"return": "a"}}}, "missing"),
        ({"policies": 3}, "'3' holds nothing by name"),
        (
            {"policies": {"other": {"return": 1, "exact": 1, "outcomes": {}, "mean_length": 1}}},
            "exact is '1'",
        ),
    ],
)
def test_a_result_that_was_changed_is_told(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    fake_run(tmp_path / "run", 0.5)
    path = tmp_path / "run" / "result.json"
    assert read_result(path)["policies"]["policy"].true_return == 0.5
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((ValueError, TypeError), match=words):
        read_result(path)


def test_a_run_that_was_killed_before_its_settings_were_written_can_begin_again(
    tmp_path: Path,
) -> None:
    config = builder.build(()).config
    for name in (".lock", "config.yaml.tmp"):
        (tmp_path / name).touch()
    assert claim(config, tmp_path) == tmp_path
    (tmp_path / "config.yaml").touch()
    with pytest.raises(UserError, match="exists already"):
        claim(config, tmp_path)


def test_the_settings_are_the_first_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[str]] = []
    replace = Path.replace

    def note(self: Path, target: Path) -> Path:
        there.append(sorted(one.name for one in tmp_path.iterdir()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", note)
    describe(tmp_path, {"steps": 5})
    assert there[0] == ["config.yaml.tmp"]
    assert len(there) == 3, "command.txt and versions.txt are written whole too"


def test_what_somebody_else_has_by_now_is_not_released(tmp_path: Path) -> None:
    release(tmp_path / "gone")
    (tmp_path / ".lock").touch()
    (tmp_path / "config.yaml").touch()
    release(tmp_path)
    assert (tmp_path / ".lock").exists()
    (tmp_path / "config.yaml").unlink()
    release(tmp_path)
    assert not tmp_path.exists()
