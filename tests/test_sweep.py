from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from routed_rl import assembly, checkpoint, cli, launch, sweep
from routed_rl.config import UserError
from routed_rl.sweep import Task

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


def settings_of(flags: Sequence[str]) -> dict[str, Any]:
    return assembly.build(flags).plain()


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_lists_are_multiplied_and_each_run_has_a_name(toml: Path, tmp_path: Path) -> None:
    tasks = sweep.read(toml, tmp_path / "out", settings_of)
    names = [task.name for task in tasks]
    assert len(names) == len(set(names)) == 2 * 2 * 2 + 4
    assert "naive_oversight-0.5_seed-1" in names
    assert "naive_hide-oversight_oversight-0.1_seed-0" in names
    for task in tasks:
        run = assembly.build(task.flags)
        assert run.settings.steps == task.steps == 128
        assert run.settings.agent.hidden == (8,)
        assert run.settings.agent.hide_oversight == ("_hide-oversight" in task.name)


def test_every_world_has_every_grid_and_one_seed_comes_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "worlds.toml"
    path.write_text(
        """
        seeds = [0, 1]
        [[world]]
        "env.outcomes" = ["diamond", "ghost", "skull"]
        [[world]]
        env = "looks"
        [[grid]]
        agent = ["naive", "routed"]
        """
    )
    tasks = sweep.read(path, tmp_path / "out", settings_of)
    worlds = ("outcomes-diamond+ghost+skull", "env-looks")
    names = [f"{agent}_{world}_seed-{seed}" for seed in (0, 1) for world in worlds for agent in ("naive", "routed")]
    assert [task.name for task in tasks] == names
    assert tasks[0].flags[:4] == ("--env.outcomes", "diamond", "ghost", "skull")


def test_finished_runs_are_skipped_killed_ones_resumed_and_failures_told_at_the_end(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = sweep.read(toml, tmp_path / "out", settings_of)[:4]
    finished, killed, empty, broken = tasks
    assert finished.execute() is None
    result = (finished.folder / "result.json").read_text()
    assert killed.execute() is None
    (killed.folder / "result.json").unlink()  # killed before it was written, its last checkpoint a little earlier
    killed = Task(killed.folder, killed.flags, {"steps": 256})
    empty.folder.mkdir(parents=True)
    broken = Task(tmp_path / "out" / "broken", ("--agent", "naive", "--env.rows", "0"), {"steps": 128})
    failed = launch.run([finished, killed, empty, broken], launcher="local", jobs=2)
    assert list(failed) == ["broken"]
    assert "rows 0" in failed["broken"]
    assert (finished.folder / "result.json").read_text() == result
    assert json.loads((killed.folder / "result.json").read_text())["env_steps"] == 256
    assert empty.finished
    assert "4 runs, 1 finished before." in capsys.readouterr().out
    assert sweep.commands([finished]) == []
    assert "--run-dir" in sweep.commands([broken])[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = [0]", "has no"),
        ("[grid]\nx = 1", "has no table"),
        ("seeds = 3\n[[grid]]", "seeds 3"),
        ("seeds = [0, 'one']\n[[grid]]", "seeds \\[0, 'one'\\]"),
        ("[[grid]]\nx = 1\n[other]", "has other"),
        ("= 1", "is no toml file"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        sweep.read(path, None, settings_of)
    with pytest.raises(UserError, match="cannot read"):
        sweep.read(tmp_path / "none.toml", None, settings_of)


def test_every_run_of_the_papers_sweep_has_a_name_of_its_own() -> None:
    tasks = sweep.read(Path(__file__).parents[1] / "sweeps" / "paper.toml", None, lambda flags: {"steps": 1})
    assert len(tasks) == 5 * (5 * 6 + 4 * 6 + 2 * 2 + 2 + 1)
    assert "routed_oversight-0.1_no-gate_seed-0" in {task.name for task in tasks}


def test_a_result_of_fewer_steps_is_not_the_end(tmp_path: Path) -> None:
    task = Task(tmp_path, (), {"steps": 200})
    (tmp_path / "result.json").write_text('{"env_steps": 100}')
    assert not task.finished
    (tmp_path / "result.json").write_text('{"env_steps": 200}')
    assert task.finished


def test_a_run_that_was_made_with_other_settings_is_told_and_not_taken_for_this_one(tmp_path: Path) -> None:
    path, out = tmp_path / "x.toml", tmp_path / "out"
    path.write_text('seeds = [3]\n[[grid]]\nagent = "naive"\nsteps = 64\nnum-envs = 8\n"agent.hidden" = [8]\n')
    (task,) = sweep.read(path, out, settings_of)
    assert task.execute() is None
    assert sweep.read(path, out, settings_of)[0].finished
    longer = settings_of([*task.flags, "--steps", "1024"])
    assert not sweep.read(path, out, lambda flags: longer)[0].finished  # more steps go on with it
    other = settings_of([*task.flags, "--agent.learning-rate", "0.5"])
    with pytest.raises(UserError, match=r"agent.learning_rate 0.0003, and now it would be 0.5"):
        sweep.read(path, out, lambda flags: other)


def test_an_older_run_had_the_default_of_a_newer_setting(tmp_path: Path) -> None:
    path, out = tmp_path / "x.toml", tmp_path / "out"
    text = 'seeds = [3]\n[flags]\nsteps = 64\nnum-envs = 8\n"agent.hidden" = [8]\n[[grid]]\nagent = "naive"\n'
    path.write_text(text)
    (task,) = sweep.read(path, out, settings_of)
    assert task.execute() is None
    plain = task.folder / "config.yaml"
    plain.write_text("".join(line for line in plain.read_text().splitlines(True) if "evadable" not in line))
    assert sweep.read(path, out, settings_of)[0].finished
    path.write_text(text.replace("steps = 64", 'steps = 64\n"env.evadable" = true'))
    with pytest.raises(UserError, match=r"env.evadable False, and now it would be True"):
        sweep.read(path, out, settings_of)


def test_a_folder_that_another_training_holds_is_left_alone(tmp_path: Path) -> None:
    task = Task(tmp_path / "run", (), {"steps": 128})
    task.folder.mkdir()
    (task.folder / "config.yaml").write_text("steps: 128\n")
    with checkpoint.locked(task.folder):
        assert "another training" in str(task.execute())
    assert (task.folder / "config.yaml").exists()


def test_a_run_is_named_after_the_agent_of_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[flags]\nagent = "naive"\n[[grid]]\n"env.oversight" = [0.1, 0.3]\n')
    names = [task.name for task in sweep.read(path, tmp_path / "out", settings_of)]
    assert names == ["naive_oversight-0.1_seed-0", "naive_oversight-0.3_seed-0"]


def test_a_wrong_flag_is_told_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[[grid]]\nagent = "naive"\n"env.oversigth" = 0.1\n')
    assert cli.main("sweep.py", [str(path), "--out", str(tmp_path / "out")]) == 2
    assert "oversigth" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_sweeps_that_come_with_it_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(Path(__file__).parents[1].glob("sweeps/*.toml")):
        assert cli.main("sweep.py", [str(path), "--print-commands", "--out", "/nonexistent"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 300
