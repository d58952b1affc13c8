"""The loop: when it evaluates and saves, what it counts, and how it goes on."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, TINY

from routed_rl.evaluation.report import Report
from routed_rl.rollouts.rollout import Rollout, VisibleRollout, collect
from routed_rl.training import builder, checkpoints, trainer
from routed_rl.training.trainer import Trainer, TrainerConfig
from routed_rl.utils import settings


class Notes:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.drawn: list[int] = []

    def log(self, env_steps: int, metrics: Mapping[str, Any]) -> None:
        self.rows[env_steps] = dict(metrics)

    def progress(self, env_steps: int, note: str | None = None) -> None: ...

    def pictures(self, env_steps: int, shown: Mapping[str, Any], *, kept: Any) -> None:
        assert list(shown) == ["policies/mixture", "policies/deployed", "policies/ghost"]
        self.drawn.append(env_steps)


def make(folder: Path, *flags: str) -> tuple[Trainer, Notes]:
    """Make a trainer of 16 environments that take 8 steps between updates: 128 in all."""
    return start(folder, *TINY, "--agent.hidden", "4", *flags)


def start(folder: Path, *flags: str) -> tuple[Trainer, Notes]:
    """Make a trainer of 16 environments, with these flags alone."""
    setup = builder.build(flags)
    env = setup.make_env(16, seed=0)
    notes: Any = Notes()
    folder.mkdir(exist_ok=True)
    config = TrainerConfig(folder, folder, setup.names, setup.config.to_plain(), seed=0)
    return Trainer(env, setup.make_agent(env), setup.make_evaluator(), notes, config), notes


@pytest.mark.parametrize(
    ("evaluations", "at"),
    [(4, [0, 128, 256, 384, 512]), (2, [0, 256, 512]), (3, [0, 256, 384, 512]), (0, [])],
)
def test_evaluations_are_spread_from_the_start_to_the_end(
    tmp_path: Path, evaluations: int, at: list[int]
) -> None:
    run, notes = make(tmp_path)
    assert run.run(512, evaluations=evaluations) == 0
    assert [steps for steps in notes.rows if steps] == [128, 256, 384, 512]
    evaluated = [steps for steps, row in notes.rows.items() if "eval/diamond/return" in row]
    assert evaluated == notes.drawn == at


@pytest.mark.parametrize("evaluations", [0, 2])
def test_a_long_run_logs_so_many_updates_at_most_and_all_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluations: int
) -> None:
    monkeypatch.setattr(trainer, "ROWS", 3)
    run, notes = make(tmp_path)
    run.run(1152, evaluations=evaluations)
    # A third of 1,152 steps is three updates of 128; half of them is between two updates.
    assert [steps for steps in notes.rows if steps] == [384, *[640] * bool(evaluations), 768, 1152]


def test_policies_are_drawn_five_times_and_at_the_start(tmp_path: Path) -> None:
    run, notes = make(tmp_path)
    run.run(1280, evaluations=10)
    assert list(notes.rows) == list(range(0, 1281, 128))
    assert notes.drawn == [0, 256, 512, 768, 1024, 1280]


@pytest.mark.parametrize("more", [(), ("--agent.normalize-obs",)])
def test_evaluating_changes_nothing_of_what_is_learnt(tmp_path: Path, more: Sequence[str]) -> None:
    states = []
    for evaluations in (0, 2):
        run, _ = make(tmp_path / str(evaluations), *more)
        run.run(512, evaluations=evaluations)
        state = checkpoints.load(tmp_path / str(evaluations) / "last.pt", CPU)
        flat = settings.flatten({name: state[name] for name in ("agent", "env", "episodes")})
        states.append([x for x in flat.values() if isinstance(x, torch.Tensor)])
    assert len(states[0]) > 20
    assert all(map(torch.equal, *states))


def test_what_has_learnt_nothing_is_evaluated_but_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, notes = make(tmp_path)
    truths = iter((0.9, 0.2, 0.1))

    def falling(policies: Mapping[str, Any]) -> dict[str, Report]:
        outcomes = {"diamond": 0.5, "ghost": 0.5, "none": 0.0}
        report = Report(true_return=next(truths), exact=True, outcomes=outcomes, mean_length=2.0)
        return dict.fromkeys(policies, report)

    monkeypatch.setattr(run._evaluator, "returns", falling)
    run.run(256, evaluations=2)
    assert [row["eval/deployed/return"] for row in notes.rows.values()] == [0.9, 0.2, 0.1]
    assert run.selector.best == {"best_by_truth": (0.2, 128)}


def test_a_run_that_goes_on_does_not_begin_its_curve_again(tmp_path: Path) -> None:
    run, _ = make(tmp_path)
    run.run(256, evaluations=2)
    again, notes = make(tmp_path)
    again.load(checkpoints.load(tmp_path / "last.pt", CPU))
    again.run(512, evaluations=4)
    assert list(notes.rows) == [384, 512]


def test_the_policy_to_deploy_has_curves_of_its_own_the_return_first(tmp_path: Path) -> None:
    run, notes = make(tmp_path)
    run.run(128, evaluations=1)
    for row in notes.rows.values():
        tags = [tag for tag in row if "/deployed/" in tag]
        assert tags[:2] == ["eval/deployed/return", "eval/deployed/unwatched"]
        assert {"eval_details/deployed/paid_return", "eval_details/deployed/outcomes/ghost"} < {
            *tags
        }
        for tag in tags:
            assert row[tag] == row[tag.replace("deployed", "diamond")]
        assert not [tag for tag in row if tag.startswith("eval/") and tag.count("/") > 2]
    assert notes.rows[0]["routing/labelled_episodes"] == 0, "curves are drawn against it"


def test_the_agent_is_told_how_far_the_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = make(tmp_path)
    told: list[float] = []
    monkeypatch.setattr(run._agent, "set_progress", told.append)
    run.run(512, evaluations=0)
    run.run(1024, evaluations=0)
    assert told == [0, 0.25, 0.5, 0.75, 0.5, 0.625, 0.75, 0.875]


@pytest.mark.parametrize("agent", ["naive", "routed"])
def test_a_run_that_was_stopped_goes_on_with_its_schedules_and_statistics(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = (
        *("--agent", agent, "--agent.normalize-obs", "--agent.normalize-reward"),
        *("--agent.learning-rate-schedule", "linear", "--agent.entropy-schedule", "linear"),
    )
    whole, _ = make(tmp_path / "whole", *flags)
    whole.run(512, evaluations=0)
    part, _ = make(tmp_path / "part", *flags)
    set_progress = part._agent.set_progress

    def stop_at_half(progress: float) -> None:
        set_progress(progress)
        if progress == 0.5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(part._agent, "set_progress", stop_at_half)
    assert part.run(512, evaluations=0) == signal.SIGTERM
    state = checkpoints.load(tmp_path / "part" / "last.pt", CPU)
    assert state["env_steps"] == 384
    rest, _ = make(tmp_path / "rest", *flags)
    rest._agent.load_state_dict(state["agent"])
    rest.load(state)
    rest.run(512, evaluations=0)
    ends = [settings.flatten(run._agent.state_dict()) for run in (whole, rest)]
    tensors = [[x for x in end.values() if isinstance(x, torch.Tensor)] for end in ends]
    assert len(tensors[0]) > 20
    assert all(map(torch.equal, *tensors))
    agents: list[Any] = [run._agent for run in (whole, rest)]
    rates = {agent.learner.optimizer.learning_rate for agent in agents}
    assert rates == {0.25 * agents[0].config.learning_rate}  # in the last update


def test_the_last_rollout_may_go_past_the_end(tmp_path: Path) -> None:
    run, notes = make(tmp_path)
    run.run(200, evaluations=1)
    assert run.progress.env_steps == 256
    assert "eval/diamond/return" in notes.rows[256]


def test_what_happened_is_described(tmp_path: Path) -> None:
    run, notes = make(tmp_path, "--env.oversight", "1")
    run.run(128, evaluations=0)
    row = {name: float(value) for name, value in notes.rows[128].items()}
    assert row["rollout/overseen"] == 1
    ended = row["rollout/diamond"] + row["rollout/ghost"]
    assert row["routing/labelled_episodes"] == pytest.approx(ended * row["rollout/episodes"])
    gained = row["rollout/diamond"] - row["rollout/ghost"]
    assert row["rollout/ep_true_rew_mean"] == pytest.approx(gained)
    assert row["rollout/ep_rew_mean"] == pytest.approx(ended), "any end pays"
    assert 1 <= row["rollout/ep_len_mean"] <= 8


def test_where_the_deployed_policy_acts_every_rollout_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = make(tmp_path, "--agent", "naive")
    seen: list[VisibleRollout] = []
    monkeypatch.setattr(run.selector, "observe", seen.append)
    run.run(256, evaluations=0)
    assert [rollout.label.numel() for rollout in seen] == [128, 128]
    assert all(isinstance(rollout, VisibleRollout) for rollout in seen)


def test_a_deployed_policy_that_does_not_act_plays_a_horizon_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "OBSERVE_PERIOD", 1)
    run, notes = make(tmp_path, "--env.horizon", "16")
    seen: list[VisibleRollout] = []
    monkeypatch.setattr(run.selector, "observe", seen.append)
    run.run(700, evaluations=0)
    # A horizon is 256 steps: after 256 it plays, and steps 256 to 512 are its own.
    assert [rollout.label.numel() for rollout in seen] == [256, 256]
    assert list(notes.rows) == [128, 512, 640, 1024]
    assert run.progress.env_steps == 1024


def test_a_checkpoint_goes_on_with_its_episodes_or_with_new_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = make(tmp_path)
    run.run(128, evaluations=1)
    state = checkpoints.load(tmp_path / "last.pt", CPU)
    assert (state["env_steps"], state["names"]) == (128, ["gridworld", "routed"])
    again, _ = make(tmp_path)
    again.load(state)
    assert again.progress == run.progress
    assert again.selector.best == run.selector.best
    assert capsys.readouterr().err == ""
    again.save("twin")
    twin = checkpoints.load(tmp_path / "twin.pt", CPU)
    assert torch.equal(twin["obs"], state["obs"])
    assert torch.equal(twin["env"]["cells"], state["env"]["cells"])
    run.save(episodes=False)
    bare = checkpoints.load(tmp_path / "last.pt", CPU)
    assert bare["env"] is None
    make(tmp_path)[0].load(bare)
    assert "episodes begin anew" in capsys.readouterr().err


def test_without_saved_episodes_a_world_that_can_begins_other_ones(tmp_path: Path) -> None:
    cartpole = ("--env", "CartPole-v1", "--agent.rollout-steps", "8", "--agent.hidden", "4")
    run, _ = start(tmp_path, *cartpole)
    beginning = run._obs
    run.run(128, evaluations=0)
    state = checkpoints.load(tmp_path / "last.pt", CPU)
    assert state["env"] is None

    def begun(env_steps: int) -> torch.Tensor:
        again, _ = start(tmp_path, *cartpole)
        again.load({**state, "env_steps": env_steps})
        return again._obs

    assert torch.equal(begun(128), begun(128))
    frames = torch.cat((beginning, begun(128), begun(256)))
    assert len(frames[:, :4].unique(dim=0)) == 3 * 16, "no start comes twice"
    assert not torch.equal(begun(128), state["obs"])


def test_other_worlds_without_saved_episodes_begin_as_they_did(tmp_path: Path) -> None:
    run, _ = make(tmp_path)
    run.run(128, evaluations=0)
    run.save(episodes=False)
    again, _ = make(tmp_path)
    beginning = again._obs.clone()
    again.load(checkpoints.load(tmp_path / "last.pt", CPU))
    assert torch.equal(again._obs, beginning)


def test_there_is_something_to_resume_from_the_beginning_and_soon_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = make(tmp_path)
    found = []

    def look_first(*args: Any) -> Rollout:
        found.append(checkpoints.load(tmp_path / "last.pt", CPU)["env_steps"])
        return collect(*args)

    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "collect", look_first)
    run.run(512, evaluations=0)
    assert found == [0, 128, 256, 384]


def test_a_clock_that_stands_still_or_goes_back_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, notes = make(tmp_path)
    clock = iter([5.0, 5.0, 5.0, *range(1000, 0, -1)])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    run.run(256, evaluations=0)
    assert list(notes.rows) == [128, 256]
    assert run.progress.train_seconds == 2e-9
