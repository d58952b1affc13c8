"""The runs of a sweep are done in processes, here or on Ray."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from routed_rl.sweeps import launchers, sweep
from routed_rl.sweeps.sweep import Task
from routed_rl.utils.errors import UserError

TOML = """
seeds = [0, 1]
[flags]
agent = "naive"
steps = 128
evaluations = 1
num-envs = 8
"env.rows" = 3
"env.columns" = 3
"agent.hidden" = [8]
"agent.rollout-steps" = 8
[[grid]]
"env.oversight" = [0.1, 0.5]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return sweep.read(path, tmp_path / "out")


def test_finished_runs_are_skipped_killed_ones_resumed_and_failures_told_at_the_end(
    tasks: list[Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, killed, empty, _ = tasks
    assert finished.execute() is None
    result = (finished.folder / "result.json").read_text()
    # Killed before its result was written, and its last checkpoint is a little earlier.
    assert killed.execute() is None
    (killed.folder / "result.json").unlink()
    longer = Task(killed.folder, killed.flags, {"steps": 256})
    empty.folder.mkdir(parents=True)
    impossible = ("--agent", "naive", "--env.rows", "0")
    broken = Task(tmp_path / "out" / "broken", impossible, {"steps": 128})
    failed = launchers.run([finished, longer, empty, broken], launcher="local", jobs=2)
    assert list(failed) == ["broken"]
    assert "rows 0" in failed["broken"]
    assert (finished.folder / "result.json").read_text() == result
    assert json.loads((killed.folder / "result.json").read_text())["env_steps"] == 256
    assert empty.finished
    out, err = capsys.readouterr()
    assert out.splitlines() == ["4 runs, 1 finished before."]
    lines = err.splitlines()
    assert len(lines) == 3, "one for each run"
    assert [line for line in lines if line.startswith(f"{empty.name}: done (")]
    assert lines[-1].endswith("(2 of 3 done, 1 failed)")
    assert sweep.commands([finished]) == []
    assert "--run-dir" in sweep.commands([broken])[0]


def test_what_is_left_takes_as_long_as_what_was_done(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    done: set[str] = set()
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(Task, "finished", property(lambda task: task.name in done))
    monkeypatch.setattr(Task, "env_steps", lambda task: 64)  # of 128

    def doing(left: list[Task], _jobs: int) -> launchers.Doing:
        now[0] = 90.0
        done.add(left[0].name)
        yield left[1:2], [(left[0], None)]

    monkeypatch.setattr(launchers, "_with_processes", doing)
    launchers.run(tasks, launcher="local", jobs=2)
    # One and a half of four took 90 seconds: two and a half take 150.
    said = capsys.readouterr().err
    assert said == f"{tasks[0].name}: done (1 of 4 done, about 2 min left)\n"


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_ray_does_the_same(tasks: list[Task], tmp_path: Path) -> None:
    impossible = ("--agent", "naive", "--env.rows", "0")
    broken = Task(tmp_path / "out" / "broken", impossible, {"steps": 128})
    failed = launchers.run([*tasks[:2], broken], launcher="ray", jobs=1)
    assert list(failed) == ["broken"]
    assert "rows 0" in failed["broken"]
    assert [task.finished for task in tasks] == [True, True, False, False]


def test_without_ray_it_is_told(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray, which is not installed: pip install ray"):
        launchers.run(tasks, launcher="ray", jobs=1)
