"""`train`: what it leaves, how it stops and goes on, and what it says of wrong input."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT, TINY, TINY_TITLE, run, train_tiny

from routed_rl.cli.evaluate import evaluate
from routed_rl.cli.main import run_command


def parameters(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def read_result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def same(a: Any, b: Any) -> bool:
    """Compare nested states to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        timeless = [key for key in a if not str(key).endswith("_seconds")]
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in timeless)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_run_leaves_the_files_that_scripts_rely_on(trained: Path) -> None:
    names = {path.name.split(".vm")[0].split(".out")[0] for path in trained.iterdir()} - {".lock"}
    texts = {"config.yaml", "command.txt", "versions.txt", "metrics.csv", "result.json"}
    texts |= {"report.html", "arrows.jsonl"}
    assert names == texts | {"events", "checkpoints", "policies.png"}
    result = read_result(trained)
    assert result["env_steps"] == 1024
    assert result["deployed"] == "diamond"
    assert list(result["policies"]) == ["mixture", "diamond", "ghost"]
    first = "env agent seed env_steps train_seconds labelled_episodes happened labelled"
    last = " sees_everything deployed policies references best_by_truth"
    assert " ".join(result) == first + last
    assert list(result["happened"]) == ["diamond", "ghost"]
    assert sum(result["happened"].values()) >= result["labelled_episodes"]
    assert list(result["labelled"]) == ["diamond", "ghost"]
    assert sum(result["labelled"].values()) == result["labelled_episodes"]
    rows = read_csv(trained / "metrics.csv")
    assert [int(row["env_steps"]) for row in rows] == list(range(0, 1025, 128))
    groups = {"env_steps", "train", "rollout", "eval", "eval_details", "routing", "gate", "time"}
    assert {name.split("/")[0] for name in rows[-1]} == groups
    last = float(rows[-1]["eval/diamond/return"])
    assert last == pytest.approx(result["policies"]["diamond"]["return"], rel=1e-4)


def test_tensorboard_gets_curves_pictures_and_settings(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained)).Reload()
    tags = events.Tags()
    scalars = {"train/entropy", "rollout/diamond", "eval/ghost/return", "routing/diamond"}
    assert scalars | {"gate/accuracy"} <= set(tags["scalars"])
    assert set(tags["images"]) == {f"policies/{name}" for name in ("deployed", "mixture", "ghost")}
    assert [image.step for image in events.Images("policies/deployed")] == [0, 512, 1024]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_resume_continues_to_the_same_bits(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part"
    train_tiny(part, 512)
    capsys.readouterr()
    assert run("--resume", str(part), "--steps", "1024") == 0
    begin = f"routed in gridworld {TINY_TITLE} 0: from step 512 to 1,024 in {part}\n"
    assert capsys.readouterr().out.startswith(begin)
    states = [parameters(folder) for folder in (part, trained)]
    for state in states:
        # Evaluations are spread over the steps asked for, so they fell elsewhere.
        del state["selector"]["best"]
    assert same(*states)
    ours, others = (read_csv(folder / "metrics.csv") for folder in (part, trained))
    for name in ("env_steps", "train/policy_loss", "rollout/ep_len_mean", "rollout/ep_rew_mean"):
        assert [row[name] for row in ours] == [row[name] for row in others], name
    evaluated = [row["env_steps"] for row in ours if row["eval/deployed/return"]]
    assert evaluated == ["0", "256", "512", "1024"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_what_is_left_can_be_used_and_resumed(
    tmp_path: Path, number: int
) -> None:
    folder = tmp_path / "run"
    flags = [*TINY, "--steps", "10000000", "--evaluations", "0", "--run-dir", str(folder)]
    command = [sys.executable, "train.py", *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    metrics = folder / "metrics.csv"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count("\n") > 3:
            break
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


def wrong_input(trained: Path, tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    """Map each case to its flags and to words of the error."""
    new = ["--run-dir", str(tmp_path / "new")]
    other_clip = ["--resume", str(trained), "--agent.clip-range", "0.3"]
    other_agent = ["--resume", str(trained), "--agent", "naive"]
    small_grid = ["--env.rows", "1", "--env.columns", "2", *new]
    near_flag = "Did you mean '--agent.learning-rate'"
    return {
        "unknown env": (["--env", "gridwrld", *new], "Did you mean 'gridworld'"),
        "unknown agent": (["--agent", "routd", *new], "Did you mean 'routed'"),
        "unknown flag": (["--agent.learning-rte", "1", *new], near_flag),
        "probability": (["--env.oversight", "1.5", *new], "oversight is 1.5"),
        "small grid": (small_grid, "make the grid larger"),
        "existing folder": (["--run-dir", str(trained)], "exists already"),
        "a file for a folder": (["--run-dir", str(trained / "config.yaml")], "exists already"),
        "under a file": (["--run-dir", str(trained / "config.yaml" / "x")], "cannot make"),
        "too long": (["--run-dir", str(tmp_path / ("x" * 300))], "File name too long"),
        "device": (["--device", "cuda:77", *new], "no device 'cuda:77'"),
        "nonsense device": (["--device", "abacus", *new], "no device 'abacus'"),
        "no steps": (["--steps", "0", *new], "steps is 0"),
        "missing value": (["--env"], "expected one argument"),
        "missing config": (["--config", "none.yaml", *new], "there is no file 'none.yaml'"),
        "resume nothing": (["--resume", str(tmp_path / "none")], "is no run"),
        "resume otherwise": (other_clip, "only --steps may change"),
        "resume another": (other_agent, "--agent was given with --resume"),
        "resume finished": (["--resume", str(trained)], "give more with --steps"),
    }


@pytest.mark.parametrize("case", wrong_input(Path("x"), Path("y")))
def test_bad_input_is_one_line_and_code_2_and_nothing_is_written(
    case: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def times() -> dict[Path, int]:
        files = (path for path in trained.rglob("*") if path.name != ".lock")
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    args, words = wrong_input(trained, tmp_path)[case]
    capsys.readouterr()
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []
    assert times() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            "--steps sixty",
            "error: --steps: 'sixty' is no whole number",
        ),
        ("--env.walls 0 1 2", "error: cannot read --env.walls 0 1 2: give values"),
        ("--num-envs 0", "error: num-envs is 0: it must be at least 1."),
    ],
)
def test_a_value_that_cannot_be_is_told_plainly(
    flags: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*shlex.split(flags)) == 2
    assert capsys.readouterr().err.startswith(words)


def test_broken_and_foreign_checkpoints_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, 256)
    path = folder / "checkpoints" / "last.pt"
    good = path.read_bytes()
    state = parameters(folder)
    spoilt: list[tuple[Any, str]] = [
        (good[: len(good) // 2], "no readable checkpoint"),
        (b"", "no readable checkpoint"),
        (state | {"names": ["gridworld", "oracle"]}, "was saved by gridworld and oracle"),
        (state | {"agent": state["agent"] | {"policy": {}}}, "does not fit config.yaml"),
    ]
    for content, words in spoilt:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        capsys.readouterr()
        assert run("--resume", str(folder), "--steps", "512") == 2
        assert run_command(evaluate, [str(folder)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        for line in lines:
            assert words in line


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("labelled_episodes", "many"),
        ("happened", [1, "two"]),
        ("obs", torch.zeros(3)),
        ("episodes", {"running": torch.zeros(3, 3)}),
        ("selector", None),
        ("selector", {"returns": ["one"], "best": {}}),
        ("selector", {"returns": [], "best": {"best_by_truth": [0.5, []]}}),
        ("selector", {"returns": [], "best": {"../last": [0.5, 128]}}),
        ("generator", torch.zeros(3)),
        ("names", 3),
        ("agent", {"policy": None}),
        ("env", {"cells": None}),
    ],
)
def test_a_checkpoint_with_a_part_of_something_else_is_told(
    part: str, value: Any, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    torch.save(parameters(folder) | {part: value}, folder / "checkpoints" / "last.pt")
    threads = threading.active_count()
    capsys.readouterr()
    assert run("--resume", str(folder), "--steps", "2048") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.pt does not fit config.yaml" in line or "load_state_dict raised KeyError" in line
    assert threading.active_count() == threads, "what wrote the curves has ended"


def test_other_outcomes_can_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_tiny(tmp_path / "ghosts", 256, "--good", "ghost")
    result = read_result(tmp_path / "ghosts")
    assert result["deployed"] == "ghost"
    report = result["policies"]["ghost"]
    assert (report["return"] > 0) == (report["outcomes"]["ghost"] > report["outcomes"]["diamond"])
    assert run(*TINY, "--good", "goblin", "--run-dir", str(tmp_path / "none")) == 2
    assert "good: 'goblin' is none of the outcomes diamond, ghost" in capsys.readouterr().err


def test_what_was_learnt_is_printed_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    train_tiny(folder, 256, "--agent", "oracle", "--seed", "3")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f"oracle in gridworld {TINY_TITLE} 3: 256 steps into {folder}"
    assert f"oracle in gridworld {TINY_TITLE} 3 (sees everything)" in lines
    steps = r"256 steps in [\d.]+ s of training, \d+ labels\."
    assert [line for line in lines if re.fullmatch(steps, line)]
    assert f"Saved in {folder}" in lines
    assert f"Curves: tensorboard --logdir {folder.parent}" in lines
    assert f"More: python evaluate.py {folder} --help" in lines


def test_a_yaml_file_sets_defaults_and_flags_win(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "env: {name: gridworld, rows: 3, columns: 3, oversight: 0.5}\n"
        "agent: {hidden: [8]}\n"
        "steps: 64\n"
        "num_envs: 8\n"
    )
    folder = tmp_path / "run"
    assert run("--config", str(path), "--env.oversight", "0.25", "--run-dir", str(folder)) == 0
    text = (folder / "config.yaml").read_text()
    assert "oversight: 0.25" in text
    assert "rows: 3" in text
    assert "steps: 64" in text


def test_a_dropped_in_environment_is_found_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny_world.py"
    path.write_text(
        '"""A very small world."""\n'
        "from dataclasses import dataclass\n"
        "from routed_rl.envs import gridworld\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Config(gridworld.Config):\n"
        "    rows: int = 2\n"
        "    columns: int = 2\n\n\n"
        "make = gridworld.make\n"
    )
    monkeypatch.chdir(tmp_path)
    small = shlex.split("--num-envs 8 --steps 512 --agent.hidden 8")
    flags = ["--plugin", str(path), "--env", "tiny_world", *small]
    assert run(*flags) == 0
    name = "routed_tiny_world_hidden-8_steps-512_num-envs-8_seed-0"
    assert (tmp_path / "runs" / name / "result.json").exists()
    assert run(*flags) == 0, "without --run-dir a new folder is made each time"
    assert (tmp_path / "runs" / f"{name}_2" / "result.json").exists()
    assert run_command(evaluate, [f"runs/{name}"]) == 0


def test_a_run_that_died_before_its_result_gets_it_and_a_lost_best_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    train_tiny(folder)
    first = read_result(folder)
    (folder / "result.json").unlink()
    assert run("--resume", str(folder)) == 0
    assert read_result(folder) == first
    (folder / "result.json").unlink()
    (folder / "checkpoints" / "best_by_truth.pt").write_bytes(b"lost")
    capsys.readouterr()
    assert run("--resume", str(folder)) == 0
    assert "left out of result.json: best_by_truth" in capsys.readouterr().err
    del first["best_by_truth"]
    assert read_result(folder) == first
