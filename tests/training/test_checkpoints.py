"""Checkpoints are whole or not there, and run no code."""

from __future__ import annotations

import errno
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
    monkeypatch.undo()
    assert at > 4, "it went through several operations"
    assert checkpoints.load(path, CPU)["env_steps"] == 6
    assert checkpoints.load(tmp_path / "previous.pt", CPU)["env_steps"] in (5, 6)


def test_a_bit_that_changed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    content = bytearray(path.read_bytes())
    number = content.index(torch.arange(3).numpy().tobytes())
    content[number] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="data/0 is not as it was saved"):
        checkpoints.load(path, CPU)


def test_a_record_that_is_marked_as_a_folder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"/data/0"))
    content[entry + 38] ^= 0x10  # external attributes: torch would return what lies in memory
    path.write_bytes(content)
    with pytest.raises(UserError, match="data/0 is not as it was saved"):
        checkpoints.load(path, CPU)


def test_a_disk_that_fails_makes_no_checkpoint_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)

    def fails(_: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match="Input/output error") as caught:
        checkpoints.load(path, CPU)
    assert caught.value.filename == str(path)


def test_a_last_one_that_is_gone_is_told_with_the_one_before(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "last.pt", STATE)
    (tmp_path / "last.pt").rename(tmp_path / "previous.pt")
    with pytest.raises(UserError, match=r"no checkpoint .*: copy .*previous\.pt over it\."):
        checkpoints.load(tmp_path / "last.pt", CPU)


def test_what_a_killed_save_left_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, STATE)
    (tmp_path / "previous.pt").hardlink_to(path)  # killed just before the new one took its place
    checkpoints.save(path, STATE | {"env_steps": 6})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["last.pt", "previous.pt"]
    assert checkpoints.load(path, CPU)["env_steps"] == 6
    assert checkpoints.load(tmp_path / "previous.pt", CPU)["env_steps"] == 5


def test_a_sparse_tensor_is_told_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    sparse = torch.zeros(2, 2).to_sparse()
    checkpoints.save(path, {"agent": {"moments": [0, (sparse,)]}, "env_steps": 1})
    with pytest.raises(UserError, match=r"no readable checkpoint .*sparse tensor"):
        checkpoints.load(path, CPU)
