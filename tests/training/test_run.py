"""`routed_rl.train` and `routed_rl.load`: training from Python."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from routed_rl import Named, Policy, Report, Run, UserError, load, train
from routed_rl.agents import naive, routed
from routed_rl.envs import gridworld
from routed_rl.gym import from_gym
from routed_rl.rollouts.rollout import VisibleRollout

WORLD = gridworld.Config(rows=3, columns=3, oversight=0.5)
AGENT = routed.Config(hidden=(8,), rollout_steps=8)
FEW: dict[str, Any] = {"num_envs": 16, "evaluations": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    return train(WORLD, AGENT, steps=512, seed=3, folder=folder, **FEW)


def test_a_run_is_trained_and_its_result_read(run: Run) -> None:
    result = run.result
    assert (result["env"], result["agent"], result["seed"]) == ("gridworld", "routed", 3)
    assert result["env_steps"] == 512
    assert list(result["policies"]) == ["mixture", "diamond", "ghost"]
    plain = json.loads((run.folder / "result.json").read_text())
    diamond = result["policies"]["diamond"]
    assert isinstance(diamond, Report)
    assert diamond.true_return == plain["policies"]["diamond"]["return"]
    assert isinstance(result["best_by_truth"]["policies"]["diamond"], Report)


def test_the_good_expert_alone_is_deployed(run: Run) -> None:
    policy = run.deploy()
    assert isinstance(policy, Policy)
    assert list(policy.torso.experts) == ["diamond"]
    assert policy.torso.gate is None
    assert set(run.policies()) == {"mixture", "diamond", "ghost"}


def test_a_run_is_reopened_by_its_folder(run: Run) -> None:
    again = load(str(run.folder))
    assert again.setup.config == run.setup.config
    assert again.result == run.result
    assert again.evaluate() == run.result["policies"]
    unseen = again.evaluate(oversight=0.0)["diamond"]
    assert unseen.true_return == pytest.approx(run.result["policies"]["diamond"].unwatched)
    ours = dict(run.deploy().named_parameters())
    for name, parameter in again.deploy().named_parameters():
        assert torch.equal(parameter, ours[name]), name


def test_a_run_goes_on_to_more_steps(tmp_path: Path) -> None:
    first = train(WORLD, AGENT, steps=256, folder=tmp_path / "run", **FEW)
    before = [p.clone() for p in first.deploy().parameters()]
    longer = load(tmp_path / "run").resume(steps=512)
    assert longer.result["env_steps"] == 512
    after = list(longer.deploy().parameters())
    assert not all(map(torch.equal, before, after))
    whole = train(WORLD, AGENT, steps=512, folder=tmp_path / "whole", **FEW)
    assert all(map(torch.equal, after, whole.deploy().parameters()))
    with pytest.raises(UserError, match=r"has its 512 steps: give more with --steps"):
        longer.resume()


def test_names_work_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Named("FrozenLake-v1", from_gym.Config(oversight=0.3, horizon=10))
    small = naive.Config(hidden=(4,), rollout_steps=8)
    run = train(lake, small, steps=64, num_envs=4, evaluations=1, episodes=8)
    assert (
        run.folder
        == tmp_path
        / "runs"
        / "naive_FrozenLake-v1_oversight-0.3_horizon-10_rollout-steps-8_more-3_seed-0"
    )
    assert run.result["deployed"] == "policy"
    assert load(run.folder).setup.config == run.setup.config


def test_what_is_wrong_is_told_before_anything_is_written(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "new"
    with pytest.raises(UserError, match="Did you mean 'gridworld'"):
        train("gridwrld", folder=folder)
    with pytest.raises(UserError, match="Did you mean 'num_envs'"):
        train(WORLD, AGENT, folder=folder, num_env=3)
    with pytest.raises(UserError, match="steps is 0"):
        train(WORLD, AGENT, folder=folder, steps=0)
    with pytest.raises(UserError, match="exists already"):
        train(WORLD, AGENT, folder=run.folder)
    with pytest.raises(UserError, match="is no run"):
        load(folder)
    assert not folder.exists()


def test_a_run_that_was_stopped_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = routed.Agent.update

    def stop_in_it(self: routed.Agent, rollout: VisibleRollout) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return update(self, rollout)

    monkeypatch.setattr(routed.Agent, "update", stop_in_it)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match=r"go on with load\('.*run'\)\.resume\(\)"):
        train(WORLD, AGENT, steps=512, folder=folder, **FEW)
    monkeypatch.undo()
    stopped = load(folder)
    with pytest.raises(UserError, match=r"has no readable result\.json"):
        _ = stopped.result
    assert stopped.resume().result["env_steps"] == 512


def test_a_run_that_was_killed_before_its_first_checkpoint_can_begin(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()  # what is left of the first instant
    whole = train(WORLD, AGENT, folder=folder, steps=256)
    weights = whole.deploy().state_dict()
    for path in (*folder.glob("checkpoints/*"), folder / "result.json"):
        path.unlink()  # what is left of the first second
    again = load(folder).resume()
    for name, weight in again.deploy().state_dict().items():
        assert torch.equal(weight, weights[name])
    assert [row for row in (folder / "metrics.csv").read_text().splitlines() if row[:2] == "0,"]


def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        train(WORLD, AGENT, folder=tmp_path)


def test_a_longer_run_that_is_killed_keeps_the_result_that_there_was(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(run, tmp_path)
    before = (folder / "result.json").read_bytes()

    class Killed(BaseException):
        """Ends the process: nothing of ours catches it."""

    def killed(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(routed.Agent, "update", killed)
    with pytest.raises(Killed):
        load(folder).resume(steps=1024)
    assert (folder / "result.json").read_bytes() == before
    monkeypatch.undo()
    assert load(folder).resume().result["env_steps"] == 1024


def copied(run: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.folder, tmp_path / "copy"))


def test_a_result_that_was_cut_is_written_anew(tmp_path: Path, run: Run) -> None:
    folder = copied(run, tmp_path)
    (folder / "result.json").write_text('{"env')
    assert load(folder).resume().result["policies"] == run.result["policies"]


def test_a_run_whose_last_checkpoint_is_gone_does_not_begin_anew(tmp_path: Path, run: Run) -> None:
    folder = copied(run, tmp_path)
    (folder / "result.json").unlink()
    (folder / "checkpoints" / "last.pt").unlink()
    with pytest.raises(UserError, match=r"copy .*previous\.pt over it"):
        load(folder).resume()


def test_the_checkpoint_of_another_seed_is_told(tmp_path: Path, run: Run) -> None:
    folder = copied(run, tmp_path)
    other = train(WORLD, AGENT, steps=128, seed=4, folder=tmp_path / "other", **FEW)
    for name in ("last", "best_by_truth"):
        shutil.copy(other.folder / "checkpoints" / "last.pt", folder / "checkpoints" / f"{name}.pt")
    with pytest.raises(UserError, match=r"was saved with seed 4, and config\.yaml says 3: put"):
        load(folder).resume(steps=1024)


def test_the_best_checkpoint_of_another_run_is_left_out(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(run, tmp_path)
    other = train(WORLD, AGENT, steps=128, seed=4, folder=tmp_path / "other", **FEW)
    theirs = other.folder / "checkpoints" / "last.pt"
    shutil.copy(theirs, folder / "checkpoints" / "best_by_truth.pt")
    (folder / "result.json").unlink()
    capsys.readouterr()
    result = load(folder).resume().result
    assert "left out of result.json: best_by_truth: " in capsys.readouterr().err
    assert "best_by_truth" not in result
    assert result["policies"] == run.result["policies"]


def test_a_config_that_was_cut_is_told(tmp_path: Path, run: Run) -> None:
    folder = copied(run, tmp_path)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text[: text.index("  credit:")])
    with pytest.raises(UserError, match=r"config\.yaml lacks agent\.credit, which was segment"):
        load(folder).resume(steps=1024)
