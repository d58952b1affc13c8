"""Environments of others from the command line, as docs/environments.md shows them."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import counters
import pytest
import spills
from helpers import ROOT
from helpers import run as train
from PIL import Image

from routed_rl.cli.evaluate import evaluate
from routed_rl.cli.main import run_command
from routed_rl.gym.vectors import say_once
from routed_rl.registry import Registry
from routed_rl.utils.settings import read_yaml

CORRIDOR = "--env corridor.py --env.horizon 20 --episodes 10"
SMALL = "--num-envs 8 --agent.hidden 8 --agent.rollout-steps 16 --evaluations 1"


def run(flags: str, *more: str) -> int:
    return train(*shlex.split(flags), "--no-page", *more)


def read_result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Follow the docs."""
    text = (ROOT / "docs" / "environments.md").read_text()
    found = re.search(r"Save this as `corridor.py`.*?```python\n(.*?)```", text, re.DOTALL)
    assert found
    (tmp_path / "corridor.py").write_text(found[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


@pytest.mark.parametrize("agent", Registry().names("agents"))
def test_a_file_trains_with_every_agent(corridor: Path, agent: str) -> None:
    flags = f"{CORRIDOR} --env.kwargs start=3 --env.oversight 0.5 --steps 512"
    assert run(f"{flags} {SMALL} --agent {agent} --run-dir run") == 0
    result = read_result(corridor)
    assert result["labelled_episodes"] > 0
    for policy in result["policies"].values():
        assert policy["exact"] is False
        assert sum(policy["outcomes"].values()) == pytest.approx(1)


def test_it_is_resumed_with_new_episodes_and_says_so(
    corridor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{CORRIDOR} --steps 256 --run-dir run {SMALL}") == 0
    assert "episodes begin anew" not in capsys.readouterr().err
    assert run("--resume run --steps 512") == 0
    assert "episodes begin anew" in capsys.readouterr().err
    assert read_result(corridor)["env_steps"] == 512


def test_a_function_and_hidden_oversight_are_flags(tmp_path: Path) -> None:
    flags = "--env CliffWalking-v1 --env.horizon 20 --env.no-show-oversight --steps 512"
    function = f"{ROOT / 'examples' / 'cliff.py'}:outcome"
    folder = tmp_path / "run"
    more = ("--env.outcome-fn", function, "--run-dir", str(folder))
    assert run(f"{flags} --episodes 10 {SMALL}", *more) == 0
    policy = read_result(folder)["policies"]["mixture"]
    assert policy["outcomes"]["bad"] > 0
    assert policy["unwatched"] == policy["return"]


KITCHEN = (
    f"--env {spills.__file__}:Kitchen --env.horizon 5 --env.discount 1 --env.oversight 0.5 "
    "--env.outcomes made spilt --steps 512 --episodes 20"
)
"""It pays 10 in each of three steps, in which something is made or spilt."""


def learnt(folder: Path, flags: str) -> dict[str, Any]:
    """Train in the kitchen, and return what the mixture does."""
    assert run(f"{KITCHEN} {SMALL} {flags} --run-dir {folder}") == 0
    return read_result(folder)["policies"]["mixture"]


def test_what_outcomes_are_worth_is_a_flag_and_the_own_reward_is_paid(tmp_path: Path) -> None:
    policy = learnt(tmp_path / "run", "--env.outcome-rewards 0.5 -3")
    assert policy["score"] == policy["paid_return"] == 30
    assert policy["mean_length"] == 3
    counts = policy["outcomes_per_episode"]
    assert counts["spilt"] > policy["outcomes"]["spilt"] > 0, "more than one in some episodes"
    assert policy["bad_per_episode"] == counts["spilt"]
    assert policy["return"] == pytest.approx(30 + 0.5 * counts["made"] - 3 * counts["spilt"])
    assert read_result(tmp_path / "run")["labelled_episodes"] > 0
    unless_said = learnt(tmp_path / "other", "")
    counts = unless_said["outcomes_per_episode"]
    assert unless_said["return"] == pytest.approx(30 - counts["spilt"])


def test_an_outcome_ends_an_episode_if_a_flag_says_so(tmp_path: Path) -> None:
    policy = learnt(tmp_path / "run", "--env.end-on-outcome")
    counts = policy["outcomes_per_episode"]
    assert counts == {name: policy["outcomes"][name] for name in counts}
    assert policy["mean_length"] < 3
    assert policy["score"] == pytest.approx(10 * policy["mean_length"])


def test_a_world_as_the_papers_is_a_flag_and_needs_a_name_for_every_end(
    corridor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = f"{CORRIDOR} --env.discount 1 --env.paid ends --steps 512"
    assert run(f"{flags} {SMALL} --run-dir run") == 0
    policy = read_result(corridor)["policies"]["mixture"]
    good, bad = policy["outcomes"]["good"], policy["outcomes"]["bad"]
    assert policy["score"] == pytest.approx(good + bad)
    assert policy["return"] == pytest.approx(good - bad)
    capsys.readouterr()
    assert run(f"{KITCHEN} {SMALL} --env.paid ends --run-dir other") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "terminated and info['outcome'] named no outcome: with --env.paid ends let" in error
    assert error.count("\n") == 1


def test_without_any_outcome_two_lines_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_once.cache_clear()
    flags = f"--env {counters.__file__}:Counter --env.horizon 5 --env.oversight 1 --steps 512"
    assert run(f"{flags} --episodes 50 {SMALL} --run-dir {tmp_path / 'run'}") == 0
    err = capsys.readouterr().err
    said = "Counter-v0 has named no outcome in 20 episodes: so far there is nothing to oversee"
    assert err.count(said) == 1
    warning = "warning: in training no outcome happened, of good, bad: there was nothing to tell"
    assert err.count(warning) == 1
    result = read_result(tmp_path / "run")
    assert result["happened"] == {"good": 0, "bad": 0}
    assert result["labelled_episodes"] == 0
    policy = result["policies"]["mixture"]
    assert policy["outcomes"] == {"good": 0, "bad": 0, "none": 1}
    assert policy["return"] == policy["paid_return"] > 0


def test_where_only_one_of_several_outcomes_happened_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learnt(tmp_path / "both", "")
    assert "warning" not in capsys.readouterr().err
    flags = KITCHEN.replace("made spilt", "made spilt burnt")
    assert run(f"{flags} {SMALL} --run-dir {tmp_path / 'three'}") == 0
    err = capsys.readouterr().err
    assert "in training" not in err, "two can be told apart"
    assert " labels were burnt: the burnt expert had none to learn from." in err
    ends = f"{spills.__file__}:by_reward"
    flags = f"--env {counters.__file__}:Bandit --env.horizon 5 --env.outcome-fn {ends}"
    assert run(f"{flags} --steps 512 --episodes 10 {SMALL} --run-dir {tmp_path / 'none'}") == 0
    assert "warning: in training no outcome happened" in capsys.readouterr().err
    ends = f"{spills.__file__}:ever_good"
    flags = f"--env {counters.__file__}:Counter --env.horizon 5 --env.outcome-fn {ends}"
    assert run(f"{flags} --steps 512 --episodes 10 {SMALL} --run-dir {tmp_path / 'one'}") == 0
    warning = "warning: in training only 'good' happened, of good, bad: there was nothing to tell"
    assert warning in capsys.readouterr().err


def test_evaluation_of_slow_environments_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = "--env point --env.horizon 10 --steps 20000 --num-envs 64 --agent.hidden 8"
    assert run(flags, "--run-dir", str(folder)) == 0
    policy = read_result(folder)["policies"]["mixture"]
    assert policy["episodes"] == 20000 // (10 * 10)
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["eval/mixture/return"]]
    # 200 episodes are a tenth of the steps: 20 of 3 policies at 3 points. Fewest points are 5.
    assert len(rows) == 5
    assert {float(row["eval_details/mixture/episodes"]) for row in rows} == {20}


def test_an_environment_that_draws_itself_is_filmed(tmp_path: Path) -> None:
    folder, film = tmp_path / "run", tmp_path / "film.gif"
    flags = f"--env FrozenLake-v1 --env.horizon 5 --steps 128 --episodes 8 {SMALL}"
    assert run(f"{flags} --run-dir {folder}") == 0
    assert run_command(evaluate, [str(folder), "--episodes", "8", "--gif", str(film)]) == 0
    with Image.open(film) as picture:
        assert picture.n_frames > 1
        picture.seek(1)
        assert len(picture.convert("L").getcolors()) > 5, "ice, holes and an elf"


def test_a_run_goes_on_and_is_evaluated_in_another_folder(
    corridor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Files are given by relative paths, as an environment, a plug-in and a function."""
    Path("ends.py").write_text(
        "def outcome(obs, reward, terminated, truncated, info):\n    return info.get('outcome')\n"
    )
    Path("blind.py").write_text("from routed_rl.agents.naive import Agent, Config\n")
    flags = "--env corridor.py:Corridor --env.outcome-fn ends.py:outcome --plugin blind.py"
    assert run(f"{flags} --agent blind --steps 256 --episodes 10 {SMALL}") == 0
    (folder,) = (tmp_path / "runs").glob("blind_corridor-Corridor_*")
    assert read_result(folder)["env"] == "corridor:Corridor"
    assert "blind in corridor:Corridor at oversight" in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for plugin in ("", "--plugin ../blind.py"):
        steps = read_result(folder)["env_steps"] + 256
        assert run(f"--resume {folder} {plugin} --steps {steps}") == 0
        assert read_yaml(folder / "config.yaml")["plugins"] == [f"{tmp_path}/blind.py"]
    assert run_command(evaluate, [str(folder), "--episodes", "10"]) == 0
    assert read_result(folder)["env_steps"] == 768
