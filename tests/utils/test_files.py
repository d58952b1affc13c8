from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from helpers import ROOT

from routed_rl.utils.errors import UserError
from routed_rl.utils.files import (
    LOCK,
    append_text,
    csv_rows,
    demand,
    demand_numbers,
    locked,
    parse_json,
    rows_until,
    write_rows,
    write_text,
    write_whole,
)


def test_writing_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_text(path, "old")

    def fails_half_way(file: IO[bytes]) -> None:
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fails_half_way)
    assert path.read_text() == "old"
    temporary = write_whole(path, lambda file: file.write(b"new"))
    assert path.read_text() == "old", "not in its place yet"
    temporary.replace(path)
    assert path.read_text() == "new"
    write_text(path, "newer")
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert path.read_text() == "newer"


def test_rows_are_read_up_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert rows_until(path, 100) == []
    path.write_text("env_steps,value\n10,a\n20,b\n30,c\n")
    assert [row["value"] for row in rows_until(path, 20)] == ["a", "b"]


def hold_in_another_process(folder: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfrom pathlib import Path\nfrom routed_rl.utils.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    pass\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        refused = hold_in_another_process(tmp_path)
        assert "UserError: another training is writing into" in refused.stderr
        with pytest.raises(UserError, match=r"give a new --run-dir"), locked(tmp_path):
            pass
    assert hold_in_another_process(tmp_path).returncode == 0


@pytest.mark.parametrize("text", ["[" * 9000, "9" * 9000, "{"])
def test_json_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_table_with_an_endless_cell_is_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('env_steps\n"' + "x" * 200_000)
    with pytest.raises(ValueError, match=r"log\.csv: field larger"):
        list(csv_rows(path))


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        *((1, int, True), (1, float, True), (1.5, int, False), ("1", int, False)),
        *((True, int, False), (True, bool, True), (0, bool, False), (None, str, False)),
        *((2**63, int, False), (-(2**63), float, False), (2**63 - 1, float, True)),
        *(({}, dict, True), ([], dict, False), ([], list, True), (float("nan"), float, True)),
    ],
)
def test_what_json_holds_is_of_its_kind(value: object, kind: type, fits: bool) -> None:
    if fits:
        demand({"x": value}, {"x": kind})
        return
    with pytest.raises(ValueError, match=r"^x is .*, and no"):
        demand({"x": value}, {"x": kind})


def test_what_is_missing_or_no_dict_is_told() -> None:
    with pytest.raises(KeyError, match="x"):
        demand({}, {"x": int})
    with pytest.raises(ValueError, match=r"'\[1\]' holds nothing by name"):
        demand([1], {})
    with pytest.raises(ValueError, match="b is 'two', and no float"):
        demand_numbers({"a": 1, "b": "two"})


@pytest.mark.parametrize("taken", [False, True])
def test_a_lock_that_was_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    flock = fcntl.flock

    def removed_before(file: IO[str], how: int) -> None:
        (tmp_path / LOCK).unlink()  # by who held it, and gives the folder back
        if taken:
            (tmp_path / LOCK).touch()  # by who came next
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with pytest.raises(UserError, match="another training"), locked(tmp_path):
        pass


def test_an_error_of_writing_names_the_file() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        append_text(Path("/dev/full"), "more")
    assert caught.value.filename == "/dev/full"


def test_rows_that_cannot_be_written_cost_none_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "episodes.csv"
    write_rows(path, ["env_steps", "a"], [{"env_steps": "1", "a": "x"}, {"env_steps": "2"}])
    assert path.read_bytes() == b"env_steps,a\r\n1,x\r\n2,\r\n"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_rows(path, ["env_steps"], [])
    assert path.read_bytes() == b"env_steps,a\r\n1,x\r\n2,\r\n"
    assert [one.name for one in tmp_path.iterdir()] == ["episodes.csv"]
