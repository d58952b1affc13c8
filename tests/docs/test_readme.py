"""What the README and the pages beside it say must be true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from helpers import ROOT, run

README = (ROOT / "README.md").read_text()


def block(text: str, words: str) -> str:
    """Return the one block of Python that holds some words."""
    (found,) = (
        code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if words in code
    )
    return found


def test_the_python_api_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    code = block(README, "from routed_rl import")
    assert code == first
    names: dict[str, Any] = {"__name__": "readme"}
    short = code.replace("steps=800_000", "steps=20_000")  # a second in place of ten
    assert short != code
    exec(compile(short, "README.md", "exec"), names)
    result = json.loads((tmp_path / "runs" / "mine" / "result.json").read_text())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(result["policies"]["diamond"]["return"])
    assert lines.count(lines[-1]) == 2, "the run, and the run reopened"
    assert list(names["policy"].torso.experts) == ["diamond"]


def test_the_environment_to_drop_in_trains(tmp_path: Path) -> None:
    path = tmp_path / "rooms.py"
    path.write_text(block(README, "class Config("))
    small = "--num-envs 8 --steps 256 --evaluations 0 --episodes 8 --agent.hidden 8"
    where = ("--plugin", str(path), "--run-dir", str(tmp_path / "run"))
    assert run("--env", "rooms", *where, *shlex.split(small)) == 0
    assert '"bat"' in (tmp_path / "run" / "result.json").read_text()


def test_what_the_docs_do_with_gymnasium_works() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text()
    found: dict[str, Any] = {}
    exec(block(text, "import gymnasium"), found)
    env = found["env"]
    assert found["obs"].shape == (64, 4 * 7 * 7)
    wrapper = re.findall(r"`gymnasium\.wrappers\.(.*?)`", text)[0]
    channels = eval(wrapper, {"env": env, **vars(gymnasium.wrappers)})
    assert channels.reset(seed=0)[0].shape == (4, 5, 5)
    assert found["envs"].unwrapped.env.spec.outcomes == ("diamond", "ghost")
