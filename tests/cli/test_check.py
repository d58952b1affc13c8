"""`check`: a table of points, and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers import ROOT

from routed_rl.checks import agent_checker, env_checker
from routed_rl.cli.main import main


def check(*flags: str) -> int:
    return main("routed-rl", ["check", *flags])


def test_a_world_that_keeps_its_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("gridworld", "--env.rows", "3", "--env.columns", "3") == 0
    out = capsys.readouterr().out
    count = len(env_checker.POINTS)
    assert f"gridworld keeps {count} of {count} points." in out
    for name in env_checker.POINTS:
        assert name in out


def test_a_world_that_breaks_it_is_told_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "envs" / "_template.py").read_text()
    late = text.replace("truncated = (self._age >= self", "truncated = (self._age > self")
    assert late != text
    path = tmp_path / "shy.py"
    path.write_text(late)
    assert check("shy", "--plugin", str(path)) == 1
    out = capsys.readouterr().out
    assert f"shy keeps {len(env_checker.POINTS) - 1} of" in out
    assert "Remedy:" in out
    assert sys.modules.get("shy") is None


def test_an_agent_that_keeps_its_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--agent", "naive", "--agent.hidden", "8") == 0
    out = capsys.readouterr().out
    count = len(agent_checker.POINTS)
    assert f"naive keeps {count} of {count} points." in out
    for name in agent_checker.POINTS:
        assert name in out


def test_an_agent_that_breaks_it_is_told_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "silent.py"
    path.write_text(
        "from routed_rl.agents import naive\n"
        "Config = naive.Config\n"
        "class Agent(naive.Agent):\n"
        "    remark = ''\n"
    )
    assert check("--agent", "silent", "--plugin", str(path), "--agent.hidden", "8") == 1
    out = capsys.readouterr().out
    count = len(agent_checker.POINTS)
    assert f"silent keeps {count - 1} of {count} points." in out
    assert "remark is empty." in out
    assert "Remedy:" in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "no environment was given"),
        (["gridwrld"], "Did you mean 'gridworld'"),
        (["gridworld", "--env.rws", "3"], "Did you mean '--env.rows'"),
        (["--agent", "routd"], "Did you mean 'routed'"),
        (["gridworld", "--agent", "routed"], "check one at a time"),
    ],
)
def test_wrong_input_is_one_line(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(*flags) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_help_needs_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        check("--help")
    assert caught.value.code == 0
    assert "routed-rl check NAME" in capsys.readouterr().out


def test_an_agent_is_checked_in_the_world_that_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check("--agent", "naive", "--env", "point", "--agent.hidden", "8") == 0
    count = len(agent_checker.POINTS)
    assert f"naive keeps {count} of {count} points." in capsys.readouterr().out


def test_what_a_broken_agent_says_is_printed_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.py"
    path.write_text(
        "from routed_rl.agents.naive import Agent as Naive, Config\n"
        "class Agent(Naive):\n"
        "    def act(self, obs): raise ValueError('[/red] of [4]')\n"
    )
    assert check("--agent", "odd", "--plugin", str(path)) == 1
    assert "[/red] of [4]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("gridworld --run-dir x", "--run-dir is for train"),
        ("gridworld --env point", "--env point says in which world to check an --agent"),
        ("gridworld --agent naive", "check one at a time"),
    ],
)
def test_flags_that_do_not_go_together_are_told(
    flags: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(*flags.split()) == 2
    assert words in capsys.readouterr().err
