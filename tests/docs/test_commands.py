"""Every line of a shell's on a page is read by the program that it calls, which then runs nothing.

`test_commands_run.py` runs them.
"""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import pytest
from helpers import ROOT
from pages import BLOCKS, somebodys_files

from routed_rl.cli import main
from routed_rl.sweeps import sweep
from routed_rl.training import builder
from routed_rl.utils import settings

EXTRA = (pytest.mark.extras, pytest.mark.filterwarnings("ignore"))
COMMANDS = [(b.page, line) for b in BLOCKS if b.language == "bash" for line in b.commands]
SCRIPTS = {"train.py", "evaluate.py", "sweep.py", "plot.py"}
OTHERS = {
    "tensorboard --logdir runs",
    "source .venv/bin/activate",
    "git worktree add ../before cb6c336",
}


class ReadError(Exception):
    """The flags were read."""


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every program stop as soon as it has read its flags."""
    parse, parse_args = settings.parse, argparse.ArgumentParser.parse_args

    def then_stop(*args: Any, **kwargs: Any) -> NoReturn:
        parse(*args, **kwargs)
        raise ReadError

    def then_stop_too(*args: Any, **kwargs: Any) -> NoReturn:
        parse_args(*args, **kwargs)
        raise ReadError

    monkeypatch.setattr(settings, "parse", then_stop)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", then_stop_too)


def train(flags: list[str]) -> None:
    """Read the flags of a training."""
    if "--resume" in flags:
        wanted, others = builder.choose(flags)
        assert wanted.resume and others[::2] in ([], ["--steps"])
    elif "--list" not in flags:
        builder.build(flags)


def script(program: str, flags: list[str]) -> None:
    """Read the flags of a command of ours."""
    if program in ("train", "train.py"):
        train(flags)
    else:
        if program in ("sweep", "sweep.py"):
            assert sweep.read(Path(flags[0]), None)
        main.command_of(program.removesuffix(".py"))(flags, program)


def python(path: str, flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the flags of a file of ours."""
    if path in SCRIPTS:
        return script(path, flags)
    monkeypatch.setattr(sys, "argv", [path, *flags])
    runpy.run_path(str(ROOT / path), run_name="__main__")


def pip(words: list[str]) -> None:
    """Look for what is to be installed."""
    kind, *rest = words
    assert kind == "install"
    if rest[0] == "-r":
        assert (ROOT / rest[1]).exists()
    else:
        extra = re.fullmatch(r"routed-rl(?:\[(\w+)\])?", rest[0])
        assert extra
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())
        assert extra[1] in {None, *known["project"]["optional-dependencies"]}


def read(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command's program read it."""
    program, *words = shlex.split(command)
    if program == "torchrun":
        program, words = "python", words[words.index("train.py") :]
    if program == "python":
        python(words[0], words[1:], monkeypatch)
    elif program == "routed-rl":
        script(words[0], words[1:])
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "pip":
        pip(words)
    else:
        assert command in OTHERS


def case(page: str, command: str) -> Any:
    """Mark the commands whose files import an extra when they are read."""
    path = re.match(r"python (\S+)", command)
    file = ROOT / path[1] if path and path[1] not in SCRIPTS else None
    marks = EXTRA if file and "Needs the extra" in file.read_text() else ()
    return pytest.param(page, command, marks=marks, id=f"{page}: {command[:70]}")


@pytest.mark.parametrize(("page", "command"), [case(*command) for command in COMMANDS])
@pytest.mark.usefixtures("nothing_runs")
def test_a_command_is_read(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("examples", "benchmarks", "sweeps", "configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    somebodys_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    try:
        read(command, monkeypatch)
    except ReadError:
        pass
    except SystemExit as answered:
        assert "--help" in command and not answered.code
