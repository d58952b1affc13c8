"""Checkpoints are whole or not there, and run no code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU

from routed_rl.training import checkpoints
from routed_rl.utils.errors import UserError

STATE = {"agent": {"w": torch.arange(3)}, "env_steps": 5, "names": ["a", "b"]}


def test_what_is_saved_is_loaded_and_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    checkpoints.save(path, STATE | {"env_steps": 6})
    assert checkpoints.load(path, CPU)["env_steps"] == 6
    assert checkpoints.load(tmp_path / "previous.pt", CPU)["env_steps"] == 5
    assert torch.equal(checkpoints.load(path, CPU)["agent"]["w"], torch.arange(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoints.save(path, {"agent": lambda: None})
    assert checkpoints.load(path, CPU)["env_steps"] == 5


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_told_and_the_remedy_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    checkpoints.save(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    remedy = r"no readable checkpoint.*copy .*previous\.pt over it"
    with pytest.raises(UserError, match=remedy) as caught:
        checkpoints.load(path, CPU)
    assert "\n" not in str(caught.value)


class Bomb:
    """Writes a file when it is unpickled the unsafe way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_loading_runs_no_code(tmp_path: Path) -> None:
    torch.save({"agent": Bomb(tmp_path / "boom"), "env_steps": 1}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="no readable checkpoint"):
        checkpoints.load(tmp_path / "last.pt", CPU)
    assert not (tmp_path / "boom").exists()


def test_missing_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "last.pt", CPU)
    torch.save({"weights": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        checkpoints.load(tmp_path / "other.pt", CPU)


def test_parts_of_an_older_checkpoint_get_their_names_of_now(tmp_path: Path) -> None:
    env = {"cells": torch.ones(1), "watched": torch.zeros(1)}
    older = {"agent": {}, "env_steps": 1, "stopping": {"returns": []}, "env": env}
    torch.save(older, tmp_path / "last.pt")
    found = checkpoints.load(tmp_path / "last.pt", CPU)
    assert set(found) == {"agent", "env_steps", "selector", "env"}
    assert found["selector"] == {"returns": []}
    assert list(found["env"]) == ["cells", "overseen_ends"]
    torch.save(older | {"env": None}, tmp_path / "last.pt")
    assert checkpoints.load(tmp_path / "last.pt", CPU)["env"] is None


@pytest.mark.parametrize("linked", [True, False])
def test_killed_at_any_file_operation_there_is_a_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    path = tmp_path / "last.pt"
    calls = [0, 0]  # how many so far, and which one is the last

    class Killed(BaseException):
        """Ends the process: nothing of ours catches it."""

    def watched(name: str) -> None:
        real = getattr(Path, name)

        def call(self: Path, *args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == calls[1]:
                raise Killed
            if name == "hardlink_to" and not linked:
                raise PermissionError("a file system without links")
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, name, call)

    checkpoints.save(path, STATE)
    for name in ("replace", "hardlink_to", "unlink", "open"):
        watched(name)
    for at in range(1, 20):
        calls[:] = [0, at]
        try:
            checkpoints.save(path, STATE | {"env_steps": 6})
        except Killed:
            assert checkpoints.load(path, CPU)["env_steps"] in (5, 6)
            continue
        break
    assert at > 4, "it went through several operations"
    assert checkpoints.load(path, CPU)["env_steps"] == 6
    assert checkpoints.load(tmp_path / "previous.pt", CPU)["env_steps"] in (5, 6)
