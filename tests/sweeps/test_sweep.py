"""A sweep's file becomes runs with names, flags and settings of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import ROOT

from routed_rl.sweeps import sweep
from routed_rl.sweeps.sweep import Task
from routed_rl.training import builder
from routed_rl.training.checkpoints import LAST
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import locked
from routed_rl.utils.settings import write_yaml

TINY = """
seeds = [0, 1]
[flags]
steps = 128
evaluations = 1
num-envs = 8
"env.rows" = 3
"env.columns" = 3
"agent.hidden" = [8]
"agent.rollout-steps" = 8
[[grid]]
agent = ["naive", "oracle"]
"env.oversight" = [0.1, 0.5]
[[grid]]
agent = "naive"
"agent.hide-oversight" = [false, true]
"env.oversight" = 0.1
"""
ONE = """
seeds = [3]
[flags]
steps = 64
num-envs = 8
"agent.hidden" = [8]
[[grid]]
agent = "naive"
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "tiny.toml"


def read(toml: Path, text: str) -> list[Task]:
    toml.write_text(text)
    return sweep.read(toml, toml.parent / "out")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do the only run of a sweep; return its folder."""
    (task,) = read(tmp_path_factory.mktemp("sweep") / "tiny.toml", ONE)
    assert task.execute() is None
    return task.folder


@pytest.fixture
def done(toml: Path, finished: Path) -> Task:
    """Copy it to where this test's sweep has it."""
    (task,) = read(toml, ONE)
    shutil.copytree(finished, task.folder)
    return task


def test_lists_are_multiplied_and_each_run_has_a_name(toml: Path) -> None:
    tasks = read(toml, TINY)
    names = [task.name for task in tasks]
    assert len(names) == len(set(names)) == 2 * 2 * 2 + 4
    assert "naive_oversight-0.5_seed-1" in names
    assert "naive_hide-oversight_oversight-0.1_seed-0" in names
    for task in tasks:
        config = builder.build(task.flags).config
        assert config.settings.steps == task.steps == 128
        assert config.agent.hidden == (8,)
        assert config.agent.hide_oversight == ("_hide-oversight" in task.name)
        assert task.settings == config.to_plain()


def test_an_agent_has_flags_of_its_own_which_a_grid_may_change(toml: Path) -> None:
    own = '[agents.naive]\n"agent.learning-rate" = 0.5\n[[grid]]\nagent = "naive"'
    text = TINY.replace('[[grid]]\nagent = "naive"', own)
    rates = {task.name: task.settings["agent"]["learning_rate"] for task in read(toml, text)}
    assert rates.pop("oracle_oversight-0.1_seed-0") == 2e-3
    assert rates.pop("naive_oversight-0.1_seed-0") == 0.5
    changed = text + '"agent.learning-rate" = 0.25\n'
    tasks = {task.name: task for task in read(toml, changed)}
    name = "naive_hide-oversight_oversight-0.1_learning-rate-0.25_seed-1"
    assert tasks[name].settings["agent"]["learning_rate"] == 0.25


def test_every_world_has_every_grid_and_one_seed_comes_after_the_other(toml: Path) -> None:
    tasks = read(
        toml,
        """
        seeds = [0, 1]
        [[world]]
        "env.outcomes" = ["diamond", "ghost", "skull"]
        [[world]]
        env = "looks"
        [[grid]]
        agent = ["naive", "routed"]
        """,
    )
    worlds = ("outcomes-diamond+ghost+skull", "env-looks")
    names = [
        f"{agent}_{world}_seed-{seed}"
        for seed in (0, 1)
        for world in worlds
        for agent in ("naive", "routed")
    ]
    assert [task.name for task in tasks] == names
    assert tasks[0].flags[:4] == ("--env.outcomes", "diamond", "ghost", "skull")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = [0]", "has no"),
        ("[grid]\nx = 1", "has no table"),
        ("grid = [1]", "has no table"),
        ("world = []\n[[grid]]", r"has no table \[\[world\]\]"),
        ("seeds = 3\n[[grid]]", "seeds 3"),
        ("agents = 3\n[[grid]]", "agents 3"),
        ('[agents.naive]\nagent.x = 1\n[[grid]]\nagent = "naive"', "in quotes"),
        ('[agents.niave]\n"agent.x" = 1\n[[grid]]\nagent = "naive"', "naive"),
        ("seeds = [0, 'one']\n[[grid]]", r"seeds \[0, 'one'\]"),
        ("[[grid]]\nx = 1\n[other]", "has other"),
        ("= 1", "is no toml file"),
        ("x = " + "[" * 9000, "is no toml file"),
        ("grid = [{" + "a." * 30 + "a = 1}]", "over 20 levels"),
        ("flags = [1]\n[[grid]]", r"flags \[1\], which are no table"),
        ("[[grid]]\nagent = ['naive', 1]", "has the agent 1, which is no word"),
        ("[[world]]\nagent = {a = 1}\n[[grid]]", "which is no word"),
        (f"seeds = {[0] * 101}\n[[grid]]\nsteps = {[1] * 100}", "has 10,100 runs"),
    ],
)
def test_a_wrong_file_is_told(toml: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(toml, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        sweep.read(tmp_path / "none.toml", None)


def test_a_file_may_have_a_mark_at_its_beginning_but_must_be_utf8(toml: Path) -> None:
    toml.write_bytes(b"\xef\xbb\xbf" + ONE.encode())
    assert len(sweep.read(toml, toml.parent / "out")) == 1
    toml.write_bytes(b"# caf\xe9\n" + ONE.encode())
    with pytest.raises(UserError, match="is not in UTF-8: save it so"):
        sweep.read(toml, toml.parent / "out")


def test_two_runs_of_one_name_are_told_but_one_that_is_named_twice_is_one(toml: Path) -> None:
    grid = '[[grid]]\n"env.blur" = 0.5\n'
    assert len(read(toml, grid + grid)) == 1
    with pytest.raises(UserError, match=r"two runs are both called routed_blur-0\.5_seed-0"):
        read(toml, f'{grid}agent = "routed"\n{grid}')


def test_every_run_of_the_papers_sweep_has_a_name_of_its_own() -> None:
    tasks = sweep.read(ROOT / "sweeps" / "paper.toml", None)
    names = [task.name for task in tasks]
    assert len(names) == len(set(names)) == 5 * (5 * 6 + 4 * 6 + 2 * 2 + 2 + 1)
    assert "routed_oversight-0.1_no-gate_seed-0" in names
    assert tasks[0].folder.parent == Path("runs/paper")


def test_a_result_of_fewer_steps_is_not_the_end(tmp_path: Path) -> None:
    task = Task(tmp_path, (), {"steps": 200})
    assert not task.finished
    for text, finished in (
        ('{"env_steps": 100}', False),
        ("{", False),
        ('{"env_steps": 200}', True),
    ):
        (tmp_path / "result.json").write_text(text)
        assert task.finished is finished


def test_how_far_a_run_has_come(tmp_path: Path) -> None:
    task = Task(tmp_path, (), {"steps": 200})
    assert task.env_steps() == 0
    (tmp_path / "metrics.csv").write_text("env_steps,x\n64,1\n128,2\n")
    assert task.env_steps() == 128


def changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_run_that_was_made_with_other_settings_is_told_and_not_taken_for_this_one(
    toml: Path,
    done: Task,
) -> None:
    assert read(toml, ONE)[0].finished
    longer = changed(ONE, {"steps = 64": "steps = 1024"})
    assert not read(toml, longer)[0].finished, "more steps go on with it"
    assert "--resume" in read(toml, longer)[0].arguments()
    other = changed(ONE, {"steps = 64": 'steps = 64\n"agent.learning-rate" = 0.5'})
    with pytest.raises(UserError, match=r"agent.learning_rate 0.002, and now it would be 0.5"):
        read(toml, other)


def test_an_older_run_had_the_default_of_a_newer_setting(toml: Path, done: Task) -> None:
    path = done.folder / "config.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "evadable" not in line))
    assert read(toml, ONE)[0].finished
    evadable = changed(ONE, {"steps = 64": 'steps = 64\n"env.evadable" = true'})
    with pytest.raises(UserError, match=r"env.evadable False, and now it would be True"):
        read(toml, evadable)


def test_an_older_run_is_the_same_under_the_names_of_then(toml: Path, done: Task) -> None:
    path = done.folder / "config.yaml"
    older = {"ent_coef": "entropy", "gae_lambda": "trace", "episode_log": "trace"}
    path.write_text(changed(path.read_text(), older))
    assert read(toml, ONE)[0].finished


def test_a_folder_that_another_training_holds_is_left_alone(tmp_path: Path) -> None:
    task = Task(tmp_path / "run", (), {"steps": 128})
    task.folder.mkdir()
    (task.folder / "config.yaml").write_text("steps: 128\n")
    with locked(task.folder):
        assert "another training" in str(task.execute())
    assert (task.folder / "config.yaml").exists()


def test_a_run_is_named_after_the_agent_of_all_runs(toml: Path) -> None:
    text = '[flags]\nagent = "naive"\n[[grid]]\n"env.oversight" = [0.1, 0.3]\n'
    names = [task.name for task in read(toml, text)]
    assert names == ["naive_oversight-0.1_seed-0", "naive_oversight-0.3_seed-0"]


def test_an_older_run_has_a_files_path_as_it_was_given(tmp_path: Path) -> None:
    function = f"{ROOT}/examples/cliff.py:outcome"
    flags = f'[flags]\n"env.outcome-fn" = "{function}"\n[[grid]]\nenv = "CliffWalking-v1"\n'
    (task,) = read(tmp_path / "cliff.toml", flags)
    (task.folder / "checkpoints").mkdir(parents=True)
    (task.folder / "checkpoints" / LAST).touch()
    given = os.path.relpath(function)

    def write(path: str) -> None:
        env = task.settings["env"] | {"outcome_fn": path}
        write_yaml(task.folder / "config.yaml", {**task.settings, "env": env})

    for path in (function, given):
        write(path)
        task.check()
    write(f"{given}s")
    with pytest.raises(UserError, match=r"was run with env\.outcome_fn"):
        task.check()
