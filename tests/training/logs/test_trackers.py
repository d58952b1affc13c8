"""What TensorBoard reads back, and Weights & Biases."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from helpers import run
from helpers import train_tiny as train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer import event_file_writer

from routed_rl.training.logs import trackers
from routed_rl.training.logs.trackers import TensorBoard
from routed_rl.utils.errors import UserError

COMPARED = {
    "agent": "routed",
    "env": "gridworld",
    "oversight": 0.25,
    "seed": 3,
    "agent.gate": False,
    "agent.hidden": [8, 4],
}


def hparams(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the columns, and what is in the run's row."""
    content = EventAccumulator(str(folder)).Reload().PluginTagToContent(metadata.PLUGIN_NAME)
    columns = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    kinds = {name: value.WhichOneof("kind") for name, value in start.hparams.items()}
    row = {name: getattr(value, kinds[name]) for name, value in start.hparams.items()}
    return columns, row


def test_runs_have_a_row_with_what_was_changed_and_three_metrics(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, start=0)
    board.settings({"seed": 3}, COMPARED)
    board.close()
    columns, row = hparams(tmp_path)
    assert row == COMPARED | {"agent.hidden": "[8, 4]"}
    assert isinstance(row["agent.gate"], bool)
    assert [metric.name.tag for metric in columns.metric_infos] == [
        *("eval/deployed/return", "eval/deployed/unwatched", "routing/labelled_episodes")
    ]
    # As TensorBoard orders them.
    ordered = sorted(columns.hparam_infos, key=lambda info: (not info.differs, info.name))
    names = [info.name for info in ordered]
    assert names == [*("agent", "env", "oversight", "seed", "agent.gate", "agent.hidden")]


def test_a_run_writes_every_curve_that_its_tables_and_charts_name(trained: Path) -> None:
    events = EventAccumulator(str(trained)).Reload()
    layout = layout_pb2.Layout()
    (tensor,) = events.Tensors("custom_scalars__config__")
    layout.ParseFromString(tensor.tensor_proto.string_val[0])
    (category,) = layout.category
    tags = [chart.multiline.tag[0].strip("^$") for chart in category.chart]
    assert len(tags) == 4
    assert tags[0] == "eval/deployed/return"
    columns, row = hparams(trained)
    metrics = [metric.name.tag for metric in columns.metric_infos]
    assert {*tags, *metrics} <= set(events.Tags()["scalars"])
    assert {name: row[name] for name in trackers.FIRST} == {
        **{"agent": "routed", "env": "gridworld"},
        **{"oversight": pytest.approx(0.1), "seed": 0},
    }
    assert set(row) - set(trackers.FIRST) == {
        *("env.rows", "env.columns", "agent.hidden", "agent.rollout-steps"),
        *("steps", "num-envs"),
    }
    points = {tag: events.Scalars(tag) for tag in metrics}
    assert [point.step for point in points["eval/deployed/return"]] == [0, 512, 1024]
    result = json.loads((trained / "result.json").read_text())
    last = points["routing/labelled_episodes"][-1].value
    assert last == result["labelled_episodes"]


def test_a_run_that_took_no_step_begins_its_curves_anew(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        board = TensorBoard(tmp_path, start=0)
        board.scalars({"a": value}, 0)
        board.close()
    board = TensorBoard(tmp_path, start=10)
    board.scalars({"a": 3.0}, 20)
    board.close()
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("a")
    assert [(point.step, point.value) for point in points] == [(0, 2.0), (20, 3.0)]


def test_without_wandb_a_line_says_so_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("--track", "wandb", "--run-dir", str(tmp_path / "run")) == 2
    words = "error: track is wandb, which is not installed: pip install 'routed-rl[wandb]', or"
    assert capsys.readouterr().err.startswith(words)
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_settings_curves_and_pictures_and_goes_on_with_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = MagicMock()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    image = np.zeros((4, 5, 3), np.uint8)
    for _ in range(2):
        _, there = trackers.of("wandb", tmp_path, start=0)
        there.settings({"seed": 3}, COMPARED)
        there.scalars({"a": 0.5}, 64)
        there.picture("policies/deployed", image, 64)
        there.close()
    first, second = (call.kwargs for call in wandb.init.call_args_list)
    assert first == second, "the same run"
    assert first["id"] == (tmp_path / "wandb_id.txt").read_text()
    assert (first["project"], first["name"]) == ("routed_rl", tmp_path.name)
    assert first["resume"] == "allow"
    run = wandb.init.return_value
    run.define_metric.assert_called_with("*", step_metric="env_steps")
    run.config.update.assert_called_with({"seed": 3}, allow_val_change=True)
    logged = [call.args[0] for call in run.log.call_args_list[:2]]
    assert logged[0] == {"a": 0.5, "env_steps": 64}
    assert logged[1] == {"policies/deployed": wandb.Image.return_value, "env_steps": 64}
    assert run.finish.call_count == 2


@pytest.mark.extras
def test_a_run_is_kept_for_wandb_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "run"
    train(folder, 256, "--track", "wandb")
    own = (folder / "wandb_id.txt").read_text()
    assert run("--resume", str(folder), "--steps", "512") == 0
    kept = list((folder / "wandb").glob(f"offline-run-*-{own}/run-{own}.wandb"))
    assert len(kept) >= 1
    content = b"".join(path.read_bytes() for path in kept)
    for words in (b"eval/deployed/return", b"env_steps", b"policies/deployed", b"num_envs"):
        assert words in content
    assert list((folder / "wandb").rglob("media/images/policies/*.png"))


def test_without_a_login_a_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Error(Exception):
        pass

    wandb = MagicMock()
    wandb.errors.Error = Error
    wandb.init.side_effect = Error("No API key configured.\nUse `wandb login`")
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(trackers, "check", lambda track: None)
    with pytest.raises(UserError, match=r"No API key configured.*WANDB_MODE=offline") as caught:
        trackers.of("wandb", tmp_path, start=0)
    assert "\n" not in str(caught.value)


def test_where_a_clock_went_back_an_earlier_file_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    for start in (0, 1):
        # Another process of the same number begins to count again.
        monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
        board = TensorBoard(tmp_path, start=start)
        board.scalars({"x": 1.0}, start)
        board.close()
    assert len(list(tmp_path.glob("events.*"))) == 2
    assert [e.step for e in EventAccumulator(str(tmp_path)).Reload().Scalars("x")] == [0, 1]


def test_what_the_thread_could_not_write_at_last_is_raised_at_the_end(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "run", start=0)
    board._writer.flush()
    shutil.rmtree(tmp_path / "run")
    with contextlib.suppress(FileNotFoundError):  # unless the thread was quicker
        board.scalars({"x": 1.0}, 1)
    with pytest.raises(FileNotFoundError):
        board.close()


def test_what_the_thread_could_not_write_is_raised_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = TensorBoard(tmp_path / "run", start=0)
    board._writer.flush()
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        for step in range(100):
            board.scalars({"x": 1.0}, step)
            board._writer.flush()
    with pytest.raises(FileNotFoundError):
        board.close()
    assert capsys.readouterr().err == ""
