"""What every example and every benchmark has in common: a command that says what it is for."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from helpers import ROOT

PEERS = {"peer_jax", "peer_torchrl"}
"""They need requirements-peers.txt, which no test does."""
FILES = [
    path
    for folder in ("examples", "benchmarks")
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.stem not in PEERS
]
COMMANDS = [path for path in FILES if "parse_args()" in path.read_text()]
EXTRA = (pytest.mark.extras, pytest.mark.filterwarnings("ignore"))


def cases(paths: list[Path]) -> list[object]:
    needs = {path: "Needs the extra `trl`" in path.read_text() for path in paths}
    return [pytest.param(path, marks=EXTRA if needs[path] else (), id=path.stem) for path in paths]


@pytest.mark.parametrize("path", cases(COMMANDS))
def test_help_begins_with_what_the_file_is_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [path.name, "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(path), run_name="__main__")
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {path.name}")
    summary = path.read_text().split('"""')[1].splitlines()[0]
    assert summary in " ".join(out.split())


@pytest.mark.parametrize("path", cases([path for path in FILES if path not in COMMANDS]))
def test_what_has_no_flags_can_be_imported(path: Path) -> None:
    assert runpy.run_path(str(path), run_name="imported")["__doc__"]


def test_there_are_examples_and_benchmarks() -> None:
    assert {path.parent.name for path in COMMANDS} == {"examples", "benchmarks"}
    assert len(COMMANDS) >= 10
