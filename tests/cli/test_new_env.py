"""`new-env` writes a template that keeps the contract and trains at once."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from routed_rl.checks.env_checker import POINTS
from routed_rl.cli.main import main
from routed_rl.registry import Registry


def run(command: str) -> int:
    return main("routed-rl", shlex.split(command))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as one does who has installed the package."""
    monkeypatch.chdir(tmp_path)
    found = Registry.__init__

    def outside(self: Registry, *args: object) -> None:
        found(self, *args)  # type: ignore[arg-type]
        self.in_checkout = False

    monkeypatch.setattr(Registry, "__init__", outside)
    return tmp_path


def test_it_passes_the_check_and_trains(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("new-env my_meadow") == 0
    assert "envs/my_meadow.py" in capsys.readouterr().out
    assert "routed-rl check my_meadow" in (installed / "envs" / "my_meadow.py").read_text()
    assert run("check my_meadow") == 0
    assert f"keeps {len(POINTS)} of" in capsys.readouterr().out
    flags = "--env my_meadow --env.size 3 --num-envs 8 --steps 512 --agent.hidden 8"
    assert run(f"train {flags} --evaluations 0 --episodes 8 --run-dir run") == 0
    result = json.loads((installed / "run" / "result.json").read_text())
    assert list(result["policies"]) == ["mixture", "treasure", "trap"]
    assert run("evaluate run --episodes 8 --gif film.gif") == 0
    assert (installed / "film.gif").stat().st_size > 500


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-env", "'my-env' cannot be a name"),
        ("class", "'class' cannot be a name"),
        ("_mine", "'_mine' cannot be a name"),
        ("../mine", "'../mine' cannot be a name"),
        ("gridworld", "there is an environment 'gridworld' already"),
        ("notes", "exists already"),
        ("", "no name was given"),
    ],
)
def test_names_that_cannot_be_are_told_and_nothing_is_written_over(
    name: str, words: str, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "envs").mkdir()
    (installed / "envs" / "notes.py").write_text("x = 1\n")
    assert run(f"new-env {name}") == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert [path.name for path in (installed / "envs").iterdir()] == ["notes.py"]
    assert (installed / "envs" / "notes.py").read_text() == "x = 1\n"
