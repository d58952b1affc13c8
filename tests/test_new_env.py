"""`new-env` writes a template that keeps the contract and trains at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routed_rl import contract
from routed_rl.cli import main
from routed_rl.plugins import Plugins


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as one does who has installed the package."""
    monkeypatch.chdir(tmp_path)
    found = Plugins.__init__

    def outside(self: Plugins, *args: object) -> None:
        found(self, *args)  # type: ignore[arg-type]
        self.in_checkout = False

    monkeypatch.setattr(Plugins, "__init__", outside)
    return tmp_path


def test_it_passes_the_check_and_trains(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("routed-rl", ["new-env", "my_meadow"]) == 0
    assert "envs/my_meadow.py" in capsys.readouterr().out
    assert "routed-rl check my_meadow" in (installed / "envs" / "my_meadow.py").read_text()
    assert main("routed-rl", ["check", "my_meadow"]) == 0
    assert f"keeps {len(contract.POINTS)} of" in capsys.readouterr().out
    flags = ["--env", "my_meadow", "--env.size", "3", "--num-envs", "8", "--steps", "512", "--agent.hidden", "8"]
    assert main("routed-rl", ["train", *flags, "--evaluations", "0", "--episodes", "8", "--run-dir", "run"]) == 0
    result = json.loads((installed / "run" / "result.json").read_text())
    assert list(result["policies"]) == ["mixture", "treasure", "trap"]
    gif = ["evaluate", "run", "--episodes", "8", "--gif", "film.gif"]
    assert main("routed-rl", gif) == 0
    assert (installed / "film.gif").stat().st_size > 500


def test_names_that_cannot_be_are_told_and_nothing_is_written_over(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "envs").mkdir()
    (installed / "envs" / "notes.py").write_text("x = 1\n")
    for name, words in [
        ("my-env", "'my-env' cannot be a name"),
        ("class", "'class' cannot be a name"),
        ("_mine", "'_mine' cannot be a name"),
        ("../mine", "'../mine' cannot be a name"),
        ("gridworld", "there is an environment 'gridworld' already"),
        ("notes", "exists already"),
    ]:
        assert main("routed-rl", ["new-env", name]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert main("routed-rl", ["new-env"]) == 2
    assert "no name was given" in capsys.readouterr().err
    assert [path.name for path in (installed / "envs").iterdir()] == ["notes.py"]
    assert (installed / "envs" / "notes.py").read_text() == "x = 1\n"
