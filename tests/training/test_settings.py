"""What a run is made from, and what its settings were called in older runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from routed_rl.agents import absorbing
from routed_rl.envs import gridworld
from routed_rl.training import builder
from routed_rl.training.settings import (
    FORMER,
    RunConfig,
    RunNames,
    RunSettings,
    flags_class,
    renamed,
    split,
)


def test_older_names_are_understood_in_their_places() -> None:
    older = {
        "steps": 7,
        "trace": True,
        "env": {"name": "gridworld", "trace": 1},
        "agent": {"name": "absorbing", "trace": 0.9, "entropy": 0.03, "told": True, "gate": 1},
    }
    found = renamed(older)
    assert found == {
        "steps": 7,
        "episode_log": True,
        "env": {"name": "gridworld", "trace": 1},
        "agent": {
            "name": "absorbing",
            "gae_lambda": 0.9,
            "ent_coef": 0.03,
            "conditioned": True,
            "gate": 1,
        },
    }
    assert list(found["agent"]) == ["name", "gae_lambda", "ent_coef", "conditioned", "gate"]
    assert older["trace"] is True, "what was given is left as it was"


def test_a_name_that_stands_beside_the_new_one_is_somebodys_own() -> None:
    agent = {"value": 7, "vf_coef": 0.5}
    assert renamed({"agent": agent}) == {"agent": agent}


def test_a_name_that_an_agent_has_itself_is_its_own() -> None:
    own = {"agent": {"value": 7, "trace": 0.9}}
    assert renamed(own, {"value", "gae_lambda"}) == {"agent": {"value": 7, "gae_lambda": 0.9}}
    assert renamed(own, {"value", "trace"}) == own
    assert renamed(own, {"hidden"}) == own, "an agent that has neither"


def test_every_new_name_is_a_setting() -> None:
    flags: Any = flags_class(gridworld, absorbing)()
    for former, name in FORMER.items():
        part, _, old = former.rpartition(".")
        owner = getattr(flags, part) if part else flags
        assert hasattr(owner, name), former
        assert not hasattr(owner, old), former


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "steps is 0: it must be at least 1"),
        ({"num_envs": 0}, "num-envs is 0: it must be at least 1"),
        ({"episodes": 0}, "episodes is 0"),
        ({"evaluations": -1}, "evaluations is -1: it must be at least 0"),
        ({"seed": -1}, "seed is -1"),
        ({"track": "wanbd"}, "track is wanbd: give one of tensorboard, wandb"),
        ({"seed": 2**63}, "below 2 to the power of 63"),
    ],
)
def test_wrong_settings_of_a_run_are_told(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunSettings(**values)


def test_flags_are_taken_apart_and_written_down() -> None:
    names = RunNames("gridworld", "absorbing", ("more.module",))
    flags: Any = flags_class(gridworld, absorbing)(
        steps=9,
        good=("ghost",),
        env=gridworld.Config(rows=3),
        agent=absorbing.Config(hidden=(4,)),
    )
    config = split(names, flags)
    settings = RunSettings(steps=9, good=("ghost",))
    wanted = RunConfig(names, gridworld.Config(rows=3), absorbing.Config(hidden=(4,)), settings)
    assert config == wanted
    plain = config.to_plain()
    assert (plain["steps"], plain["good"], plain["plugins"]) == (9, ["ghost"], ["more.module"])
    assert (plain["env"]["name"], plain["env"]["rows"]) == ("gridworld", 3)
    assert (plain["agent"]["name"], plain["agent"]["hidden"]) == ("absorbing", [4])


def test_files_have_their_whole_paths_and_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plugins = ("a.py", f"{tmp_path}/a.py", "package.module")
    names = RunNames("mine/rooms.py:Env", "naive", plugins)
    assert names.env == f"{tmp_path}/mine/rooms.py:Env"
    assert names.env_title == "rooms:Env"
    assert names.plugins == (f"{tmp_path}/a.py", "package.module")
    assert RunNames("FrozenLake-v1").env_title == "FrozenLake-v1"


def test_a_title_says_what_was_changed_and_how_much_more() -> None:
    def title(*flags: str) -> str:
        return builder.build(flags).config.title

    assert title() == "routed in gridworld at oversight 0.1, seed 0"
    some = ("--agent.gate-loss", "0.01", "--agent.no-gate", "--agent.hidden", "8", "9")
    assert title(*some, "--env.oversight", "0.3", "--seed", "2") == (
        "routed in gridworld at oversight 0.3, hidden 8+9, no-gate, gate-loss 0.01, seed 2"
    )
    many = (*some, "--env.rows", "7", "--env.columns", "6", "--steps", "5")
    assert title(*many) == (
        "routed in gridworld at oversight 0.1, rows 7, columns 6, hidden 8+9, no-gate, 2 more, "
        "seed 0"
    )
    file = ("--env", "CartPole-v1", "--env.outcome-fn", str(ROOT / "examples/cliff.py:outcome"))
    assert title(*file) == (
        "routed in CartPole-v1 at oversight 0.1, outcome-fn cliff:outcome, seed 0"
    )
