"""Environments of others from the command line, as docs/environments.md shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from routed_rl.cli import run_command
from routed_rl.commands.train import train
from routed_rl.plugins import Plugins

ROOT = Path(__file__).parents[1]
SMALL = ["--num-envs", "8", "--agent.hidden", "8", "--agent.rollout-steps", "16", "--evaluations", "1"]


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Follow the docs."""
    text = (ROOT / "docs" / "environments.md").read_text()
    found = re.search(r"Save this as `corridor.py`.*?```python\n(.*?)```", text, re.DOTALL)
    assert found
    (tmp_path / "corridor.py").write_text(found[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def run(*args: str) -> int:
    return run_command(train, args)


@pytest.mark.parametrize("agent", Plugins().names("agents"))
def test_a_file_trains_with_every_agent(corridor: Path, agent: str) -> None:
    flags = ["--env", "corridor.py", "--env.kwargs", "start=3", "--env.oversight", "0.5", "--agent", agent]
    assert run(*flags, "--steps", "512", "--episodes", "10", "--run-dir", str(corridor), *SMALL) == 0
    result = json.loads((corridor / "result.json").read_text())
    assert result["labelled_episodes"] > 0
    for policy in result["policies"].values():
        assert policy["exact"] is False
        assert sum(policy["outcomes"].values()) == pytest.approx(1)


def test_it_is_resumed_with_new_episodes_and_says_so(corridor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--env", "corridor.py", "--steps", "256", "--run-dir", str(corridor), *SMALL) == 0
    assert "begin anew" not in capsys.readouterr().err
    assert run("--resume", str(corridor), "--steps", "512") == 0
    assert "episodes begin anew" in capsys.readouterr().err
    assert json.loads((corridor / "result.json").read_text())["env_steps"] == 512


def test_a_function_and_hidden_oversight_are_flags(tmp_path: Path) -> None:
    function = f"{ROOT / 'examples' / 'cliff.py'}:outcome"
    flags = ["--env", "CliffWalking-v1", "--env.outcome-fn", function, "--env.horizon", "20", "--env.no-show-oversight"]
    assert run(*flags, "--steps", "512", "--episodes", "10", "--run-dir", str(tmp_path / "run"), *SMALL) == 0
    policy = json.loads((tmp_path / "run" / "result.json").read_text())["policies"]["mixture"]
    assert policy["outcomes"]["bad"] > 0
    assert policy["unwatched"] == policy["return"]


def test_evaluation_of_slow_environments_is_bounded(tmp_path: Path) -> None:
    flags = ["--env", "point", "--env.horizon", "10", "--steps", "20000", "--agent.hidden", "8"]
    assert run(*flags, "--run-dir", str(tmp_path / "run")) == 0
    policy = json.loads((tmp_path / "run" / "result.json").read_text())["policies"]["mixture"]
    assert policy["episodes"] == 20000 // (10 * 10)
    last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    points = dict(zip(last[0].split(","), last[-1].split(","), strict=True))
    assert float(points["eval/mixture/episodes"]) == 20, "of 3 policies at 5 points, at least 20"
