from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TINY, run, train_tiny

from routed_rl import assembly
from routed_rl.cli import main, run_command
from routed_rl.commands.evaluate import evaluate

ROOT = Path(__file__).parents[1]


def parameters(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


def same(a: Any, b: Any) -> bool:
    """Compare nested states to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a if not str(key).endswith("_seconds"))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_run_leaves_the_files_that_scripts_rely_on(trained: Path) -> None:
    names = {path.name.split(".vm")[0].split(".out")[0] for path in trained.iterdir()} - {".lock"}
    assert names == {
        "config.yaml",
        "command.txt",
        "versions.txt",
        "metrics.csv",
        "events",
        "checkpoints",
        "result.json",
        "policies.png",
    }
    result = json.loads((trained / "result.json").read_text())
    assert result["env_steps"] == 1024
    assert result["deployed"] == "diamond"
    assert list(result["policies"]) == ["mixture", "diamond", "ghost"]
    first = "env agent seed env_steps train_seconds labelled_episodes sees_everything deployed policies references"
    assert " ".join(result) == first + " best_by_truth"
    with (trained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["env_steps"]) for row in rows] == list(range(128, 1025, 128))
    assert {name.split("/")[0] for name in rows[-1]} == {
        "env_steps",
        "train",
        "rollout",
        "eval",
        "routing",
        "gate",
        "time",
    }
    assert float(rows[-1]["eval/diamond/return"]) == pytest.approx(result["policies"]["diamond"]["return"], rel=1e-4)


def test_tensorboard_gets_curves_pictures_and_settings(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained)).Reload()
    tags = events.Tags()
    assert {"train/entropy", "rollout/diamond", "eval/ghost/return", "routing/diamond", "gate/accuracy"} <= set(
        tags["scalars"]
    )
    assert tags["images"] == ["policies"]
    assert len(events.Images("policies")) == 2
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_resume_continues_to_the_same_bits(tmp_path: Path, trained: Path) -> None:
    part = tmp_path / "part"
    train_tiny(part, 512)
    assert run("--resume", str(part), "--steps", "1024") == 0
    states = [parameters(folder) for folder in (part, trained)]
    for state in states:
        del state["stopping"]["best"]  # evaluations are spread over the steps asked for, so they fell elsewhere
    assert same(*states)
    with (part / "metrics.csv").open() as a, (trained / "metrics.csv").open() as b:
        rows, others = list(csv.DictReader(a)), list(csv.DictReader(b))
    assert [r["train/policy_loss"] for r in rows] == [r["train/policy_loss"] for r in others]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_what_is_left_can_be_used_and_resumed(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "run"
    flags = [*TINY, "--steps", "100000000", "--evaluations", "0", "--run-dir", str(folder)]
    process = subprocess.Popen([sys.executable, "train.py", *flags], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    metrics = folder / "metrics.csv"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"--resume {folder}" in out
    steps = parameters(folder)["env_steps"]
    assert steps > 0
    assert run_command(evaluate, [str(folder)]) == 0
    assert run("--resume", str(folder), "--steps", str(steps + 256)) == 0
    whole = tmp_path / "whole"
    assert run(*flags[:-1], str(whole), "--steps", str(steps + 256)) == 0
    assert same(parameters(folder), parameters(whole))


def bad(trained: Path, tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    new = ["--run-dir", str(tmp_path / "new")]
    return {
        "unknown env": (["--env", "gridwrld", *new], "Did you mean 'gridworld'"),
        "unknown agent": (["--agent", "routd", *new], "Did you mean 'routed'"),
        "unknown flag": (["--agent.learning-rte", "1", *new], "Did you mean '--agent.learning-rate'"),
        "probability": (["--env.oversight", "1.5", *new], "oversight is 1.5"),
        "small grid": (["--env.rows", "1", "--env.columns", "2", *new], "make the grid larger"),
        "existing folder": (["--run-dir", str(trained)], "exists already"),
        "a file for a folder": (["--run-dir", str(trained / "config.yaml")], "exists already"),
        "device": (["--device", "cuda:77", *new], "no device 'cuda:77'"),
        "nonsense device": (["--device", "abacus", *new], "no device 'abacus'"),
        "no steps": (["--steps", "0", *new], "steps is 0"),
        "missing value": (["--env"], "expected one argument"),
        "missing config": (["--config", "none.yaml", *new], "cannot read none.yaml"),
        "resume nothing": (["--resume", str(tmp_path / "none")], "is no run"),
        "resume otherwise": (["--resume", str(trained), "--agent.clip", "0.3"], "only --steps may change"),
        "resume finished": (["--resume", str(trained)], "give more with --steps"),
    }


CASES = list(bad(Path("x"), Path("y")))


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_code_2_and_nothing_is_written(
    case: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.name != ".lock"}
    args, words = bad(trained, tmp_path)[case]
    capsys.readouterr()
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.name != ".lock"} == before


def test_broken_and_foreign_checkpoints_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, 256)
    path = folder / "checkpoints" / "last.pt"
    good = path.read_bytes()
    state = parameters(folder)
    for content, words in [
        (good[: len(good) // 2], "no readable checkpoint"),
        (b"", "no readable checkpoint"),
        (state | {"names": ["gridworld", "oracle"]}, "was saved by gridworld and oracle"),
        (state | {"agent": state["agent"] | {"policy": {}}}, "does not fit config.yaml"),
    ]:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        for command in (
            lambda: run("--resume", str(folder), "--steps", "512"),
            lambda: run_command(evaluate, [str(folder)]),
        ):
            capsys.readouterr()
            assert command() == 2
            err = capsys.readouterr().err
            assert words in err
            assert err.count("\n") == 1


def test_other_outcomes_can_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_tiny(tmp_path / "ghosts", 256, "--good", "ghost")
    result = json.loads((tmp_path / "ghosts" / "result.json").read_text())
    assert result["deployed"] == "ghost"
    report = result["policies"]["ghost"]
    assert (report["return"] > 0) == (report["outcomes"]["ghost"] > report["outcomes"]["diamond"])
    assert run(*TINY, "--good", "goblin", "--run-dir", str(tmp_path / "none")) == 2
    assert "good: 'goblin' is none of the outcomes diamond, ghost" in capsys.readouterr().err


def test_a_yaml_file_sets_defaults_and_flags_win(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "env: {name: gridworld, rows: 3, columns: 3, oversight: 0.5}\nagent: {hidden: [8]}\nsteps: 64\nnum_envs: 8\n"
    )
    folder = tmp_path / "run"
    assert run("--config", str(path), "--env.oversight", "0.25", "--run-dir", str(folder)) == 0
    text = (folder / "config.yaml").read_text()
    assert "oversight: 0.25" in text
    assert "rows: 3" in text
    assert "steps: 64" in text


def test_the_papers_settings_are_valid() -> None:
    settings = assembly.build(["--config", str(ROOT / "configs" / "paper.yaml")]).settings
    assert settings.agent.algorithm == "reinforce"
    assert settings.agent.learning_rate == 5e-5
    assert settings.steps == 1500 * 512 * 32


def test_the_fast_settings_are_valid_and_collect_as_many_steps_as_the_default() -> None:
    fast, usual = (assembly.build(f).settings for f in (["--config", str(ROOT / "configs" / "fast.yaml")], []))
    assert fast.agent.hidden == (128, 128)
    assert fast.num_envs * fast.agent.rollout_steps == usual.num_envs * usual.agent.rollout_steps == 16_384


def test_ctrl_c_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    assert run_command(interrupted, []) == 130
    assert capsys.readouterr().err == "stopped.\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--steps", "sixty"], "error: cannot read --steps sixty: give values of the kind that its help names."),
        (["--env.walls", "0", "1", "2"], "error: cannot read --env.walls 0 1 2: give values"),
        (["--num-envs", "0"], "error: num-envs is 0: it must be at least 1."),
    ],
)
def test_a_value_that_cannot_be_is_told_plainly(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*flags) == 2
    assert capsys.readouterr().err.startswith(words)


def test_list_help_and_the_installed_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("routed-rl", ["train", "--list"]) == 0
    out = capsys.readouterr().out
    assert "gridworld" in out
    assert "routed" in out
    assert main("routed-rl", ["trian"]) == 2
    assert "Did you mean 'train'" in capsys.readouterr().err
    assert main("routed-rl", ["--help"]) == 0
    with pytest.raises(SystemExit) as caught:
        run("--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for flag in ("--env NAME", "--resume DIR", "--env.oversight", "--agent.learning-rate", "--seed"):
        assert flag in out


def test_a_dropped_in_environment_is_found_and_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny_world.py"
    path.write_text(
        '"""A very small world."""\nfrom dataclasses import dataclass\nfrom envs import gridworld\n\n\n'
        "@dataclass(frozen=True)\nclass Config(gridworld.Config):\n    rows: int = 2\n    columns: int = 2\n\n\n"
        "make = gridworld.make\n"
    )
    monkeypatch.chdir(tmp_path)
    flags = ["--plugin", str(path), "--env", "tiny_world", "--num-envs", "8", "--steps", "512", "--agent.hidden", "8"]
    assert run(*flags) == 0
    assert (tmp_path / "runs" / "tiny_world-routed-0" / "result.json").exists()
    assert run(*flags) == 0, "without --run-dir a new folder is made each time"
    assert (tmp_path / "runs" / "tiny_world-routed-0-2" / "result.json").exists()
    assert run_command(evaluate, ["runs/tiny_world-routed-0"]) == 0


def test_a_run_that_died_before_its_result_gets_it_and_a_lost_best_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    train_tiny(folder)
    first = json.loads((folder / "result.json").read_text())
    (folder / "result.json").unlink()
    assert run("--resume", str(folder)) == 0
    assert json.loads((folder / "result.json").read_text()) == first
    (folder / "result.json").unlink()
    (folder / "checkpoints" / "best_by_truth.pt").write_bytes(b"lost")
    capsys.readouterr()
    assert run("--resume", str(folder)) == 0
    assert "left out of result.json: best_by_truth" in capsys.readouterr().err
    second = json.loads((folder / "result.json").read_text())
    assert second == {name: value for name, value in first.items() if name != "best_by_truth"}


def test_another_broken_pipe_is_an_error() -> None:
    def broken(_: object) -> int:
        raise BrokenPipeError("an environment's process died")

    with pytest.raises(BrokenPipeError):
        run_command(broken, [])


@pytest.mark.parametrize(
    ("reader", "read"), [("head -n 1", "usage: python -m routed_rl train [-h] [OPTIONS]\n"), ("true", "")]
)
def test_a_reader_that_has_read_enough_is_no_error(reader: str, read: str) -> None:
    command = f"{sys.executable} -m routed_rl train --help | {reader}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == read
    assert done.stderr == ""
