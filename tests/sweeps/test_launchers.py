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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 runs, 1 finished before."
    assert f"{empty.name}: done" in lines
    assert len(lines) == 4
    assert sweep.commands([finished]) == []
    assert "--run-dir" in sweep.commands([broken])[0]


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
