"""Metrics reach the file, TensorBoard and the terminal."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from routed_rl.training.logs.logger import Logger, MetricsFile


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_new_metric_adds_a_column_and_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path, up_to=0)
    file.append({"env_steps": 1, "a": "1"})
    file.append({"env_steps": 2, "a": "2", "b": "3"})
    file.append({"env_steps": 3, "b": "4"})
    assert rows(path) == [
        {"env_steps": "1", "a": "1", "b": ""},
        {"env_steps": "2", "a": "2", "b": "3"},
        {"env_steps": "3", "a": "", "b": "4"},
    ]


def test_a_resumed_file_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path, up_to=0)
    for step in (10, 20, 30):
        file.append({"env_steps": step, "a": str(step)})
    MetricsFile(path, up_to=20).append({"env_steps": 30, "a": "new"})
    assert [row["a"] for row in rows(path)] == ["10", "20", "new"]


def test_a_file_that_was_cut_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("env_steps,a\n10,1\n20,2\n30,3\n")
    MetricsFile(path, up_to=30)
    assert capsys.readouterr().err == ""
    path.write_text("env_steps,a\n10,1\n20")
    MetricsFile(path, up_to=30)
    said = capsys.readouterr().err
    assert said == f"warning: {path} was cut: it lacks what is behind step 10.\n"


def test_tensors_and_floats_reach_tensorboard_and_the_file(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = Logger(tmp_path, total=100)
    metrics = {
        "train/loss": torch.tensor(0.25),
        "rollout/episodes": torch.tensor(3),
        "time/s": 1.5,
    }
    values = logger.log(50, metrics)
    logger.close()
    assert values == {"time/s": 1.5, "train/loss": 0.25, "rollout/episodes": 3.0}
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(50, 0.25)]
    assert rows(tmp_path / "metrics.csv")[0]["rollout/episodes"] == "3"


def test_a_run_that_took_no_step_begins_its_file_anew(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        logger = Logger(tmp_path, total=100)
        logger.log(0, {"a": value})
        logger.close()
    assert rows(tmp_path / "metrics.csv") == [{"env_steps": "0", "a": "2"}]


def test_the_latest_picture_is_kept(tmp_path: Path) -> None:
    logger = Logger(tmp_path, total=100)
    for shade in (10, 200):
        image = np.full((4, 5, 3), shade, np.uint8)
        logger.pictures(shade, {"policies/deployed": image[:2]}, kept=image)
    logger.close()
    with Image.open(tmp_path / "policies.png") as picture:
        assert picture.size == (5, 4)
        assert picture.getpixel((0, 0)) == (200, 200, 200)


def test_without_a_terminal_notes_are_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = Logger(tmp_path, total=100)
    logger.progress(20)
    logger.progress(50, "return 0.5")
    logger.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "50 / 100 steps" in lines[0]
    assert lines[0].endswith("return 0.5")


def test_a_picture_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Logger(tmp_path, total=100)
    logger.pictures(0, {}, kept=np.zeros((4, 4, 3), np.uint8))
    before = (tmp_path / "policies.png").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left .*policies\.png"):
        logger.pictures(1, {}, kept=np.ones((4, 4, 3), np.uint8))
    logger.close()
    assert (tmp_path / "policies.png").read_bytes() == before
