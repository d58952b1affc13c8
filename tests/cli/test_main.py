"""From a command line to a command, and from what goes wrong to one line."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from helpers import ROOT, run

from routed_rl.cli.main import COMMANDS, command_of, main, run_command
from routed_rl.utils.errors import UserError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_flags_and_the_name_of_the_program(name: str) -> None:
    command = command_of(name)
    assert len(inspect.signature(command).parameters) == 2
    assert command.__doc__
    assert command.__doc__.strip()


def test_a_command_gets_the_flags_behind_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def plot(args: list[str], program: str) -> int:
        calls.append((args, program))
        return 7

    monkeypatch.setattr("routed_rl.cli.plot.plot", plot)
    assert main("routed-rl", ["plot", "runs", "--out", "x"]) == 7
    assert main("plot.py", ["runs"]) == 7
    assert calls == [(["runs", "--out", "x"], "routed-rl plot"), (["runs"], "plot.py")]


def test_list_help_and_the_installed_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("routed-rl", ["train", "--list"]) == 0
    out = capsys.readouterr().out
    assert "gridworld" in out
    assert "routed" in out
    assert main("routed-rl", ["trian"]) == 2
    assert "Did you mean 'train'" in capsys.readouterr().err
    assert main("routed-rl", ["--help"]) == 0
    out = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert f"{name:<10} {summary}" in out
    with pytest.raises(SystemExit) as caught:
        run("--help")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    flags = ("--env NAME", "--resume DIR", "--env.oversight", "--agent.learning-rate", "--seed")
    for flag in flags:
        assert flag in out


def test_what_a_person_can_mend_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_args: object, program: str) -> int:
        raise UserError(f"{program}: mend it.")

    assert run_command(wrong, [], "x.py") == 2
    assert capsys.readouterr() == ("", "error: x.py: mend it.\n")


def test_ctrl_c_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_args: object, _program: str) -> int:
        raise KeyboardInterrupt

    assert run_command(interrupted, []) == 130
    assert capsys.readouterr().err == "stopped.\n"


def test_another_broken_pipe_is_an_error() -> None:
    def broken(_args: object, _program: str) -> int:
        raise BrokenPipeError("an environment's process died")

    with pytest.raises(BrokenPipeError):
        run_command(broken, [])


@pytest.mark.parametrize(
    ("reader", "read"),
    [("head -n 1", "usage: python -m routed_rl train [-h] [OPTIONS]\n"), ("true", "")],
)
def test_a_reader_that_has_read_enough_is_no_error(reader: str, read: str) -> None:
    command = f"{sys.executable} -m routed_rl train --help | {reader}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == read
    assert done.stderr == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fills(args: Sequence[str], prog: str) -> int:
        raise OSError(number, os.strerror(number), "/runs/x/checkpoints/last.pt")

    assert run_command(fills, []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot write /runs/x/checkpoints/last.pt: ")
    assert line.endswith("go on with --resume.")


def test_another_fault_of_a_file_is_not_hidden() -> None:
    def fails(args: Sequence[str], prog: str) -> int:
        raise OSError(errno.EBADF, "bad descriptor")

    with pytest.raises(OSError, match="bad descriptor"):
        run_command(fails, [])


def test_a_name_of_several_lines_is_told_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("plot.py", ["a\nb\x1b[2J\x85c"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(r"error: there is no folder a\nb\x1b[2J\x85c: give one")


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ENOTDIR, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", ["x/y", b"x/y"])
def test_a_file_that_cannot_be_had_is_one_line(
    number: int, name: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(args: Sequence[str], prog: str) -> int:
        raise OSError(number, os.strerror(number), name)

    assert run_command(fails, []) == 2
    assert capsys.readouterr().err == (
        f"error: cannot use x/y: {os.strerror(number)}. Give another name, or mend that; "
        "a run that had begun can go on with --resume.\n"
    )


def test_a_name_that_is_no_utf8_can_be_printed() -> None:
    code = "import sys; from routed_rl.cli.main import run_command as r; "
    code += "r(lambda args, prog: print('Wrote', args[0]) or 0, ['\\udcff'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"Wrote \\udcff\n"


@pytest.mark.parametrize("shape", [(10**15,), (2**62, 5)])
def test_too_little_memory_is_one_line(
    shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda args, prog: len(torch.empty(shape)), []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is too little memory (RuntimeError: ")
    assert line.endswith("): give smaller numbers.")


def test_another_fault_of_a_computation_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"):
        run_command(lambda args, prog: len(torch.ones(2) + torch.ones(3)), [])
