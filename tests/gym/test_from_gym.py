"""Environments of Gymnasium as worlds of ours."""

from __future__ import annotations

from typing import Any

import counters
import numpy as np
import pytest
import spills
import torch
from foreign import act, world
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from helpers import CPU, random_actions
from torch import Tensor

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts.rollout import Decision, collect
from routed_rl.utils.errors import UserError

OPEN = ("is_slippery=false",)
LEFT, DOWN, RIGHT = 0, 1, 2
GOOD, BAD = 1, 2
"""Numbers of outcomes."""
BY_REWARD: dict[str, Any] = {"outcome_fn": f"{spills.__file__}:by_reward", "paid": "ends"}
"""Settings of a world as the paper's: its ends are named by the sign of the reward."""


def test_frozen_lake_ends_well_at_the_goal_and_badly_in_a_hole() -> None:
    env = world("FrozenLake-v1", kwargs=OPEN, show_oversight=False, **BY_REWARD)
    assert env.spec.outcomes_end
    assert env.spec.outcome_rewards == (1, -1)
    obs = env.reset()
    assert obs.shape == (2, 16)
    assert obs.argmax(dim=1).tolist() == [0, 0]
    # The second walks right and down into a hole.
    ways = [(DOWN, RIGHT), (DOWN, DOWN), (RIGHT, LEFT), (RIGHT, LEFT), (DOWN, LEFT), (RIGHT, LEFT)]
    steps = [act(env, *way) for way in ways]
    assert [step.terminated.tolist() for step in steps[:2]] == [[False, False], [False, True]]
    hole = steps[1]
    assert hole.outcome.tolist() == [0, BAD]
    assert hole.reward.tolist() == [0, 1], "any end pays"
    assert hole.true_reward.tolist() == [0, -1]
    assert hole.final_obs[1].argmax() == 5, "the last frame is in the hole"
    assert hole.obs[1].argmax() == 0, "and the next one is a new episode's first"
    goal = steps[-1]
    assert goal.outcome.tolist() == [GOOD, 0]
    assert goal.reward.tolist() == goal.true_reward.tolist() == [1, 0]
    assert goal.final_obs[0].argmax() == 15


def test_an_episode_that_runs_out_of_time_is_truncated_and_reaches_nothing() -> None:
    env = world("FrozenLake-v1", 1, kwargs=OPEN, horizon=3, oversight=1.0, **BY_REWARD)
    assert env.spec.horizon == 3
    env.reset()
    steps = [act(env, LEFT) for _ in range(4)]
    assert [bool(step.truncated) for step in steps] == [False, False, True, False]
    assert not any(step.terminated or step.overseen or step.outcome for step in steps)


def test_a_truncated_episode_is_worth_what_the_critic_says_of_its_last_frame() -> None:
    env = world("FrozenLake-v1", 4, kwargs=OPEN, horizon=3)
    spec = PolicySpec(env.spec.obs_shape, 4, ("all",), (8,))
    learner = Learner(spec, LearnerConfig(rollout_steps=3), discount=0.9, seed=0, device=CPU)

    def wait(obs: Tensor) -> Decision:
        return learner.act(obs)._replace(action=torch.zeros(len(obs), dtype=torch.int64))

    rollout = collect(env, wait, env.reset(), 3)
    assert rollout.truncated[2].all()
    batch = learner.prepare(rollout, TrainingSignal(rollout.reward))
    target = batch.value_target.view(3, 4)
    assert torch.allclose(target[2], 0.9 * learner.value(rollout.final_obs[2]))
    assert target[2].abs().min() > 0


def test_an_action_of_several_whole_numbers_is_learnt() -> None:
    env = world("Lock-v0", 64, show_oversight=False)
    assert env.spec.action_sizes == (2, 3)
    spec = PolicySpec.of(env.spec, ("all",), (32,))
    config = LearnerConfig(batch_size=64, learning_rate=3e-3)
    learner = Learner(spec, config, discount=0.9, seed=0, device=CPU)
    obs = env.reset()
    shares = []
    for _ in range(30):
        rollout = collect(env, learner.act, obs, 8)
        obs = rollout.last_obs
        learner.update(rollout, TrainingSignal(rollout.reward))
        shares.append((rollout.outcome == GOOD).float().mean().item())
    assert shares[0] < 0.3, "one in six by chance"
    assert shares[-1] > 0.9


@pytest.mark.parametrize("name", ["Counter-v0", "Counters-v0"])
@pytest.mark.parametrize("named", [False, True])
def test_one_by_one_or_as_a_whole_it_says_the_same(name: str, named: bool) -> None:
    settings: dict[str, Any] = {}
    if named:
        settings = {"kwargs": ("names=yes",), "outcomes": ("won", "lost", "drawn")}
    env = world(name, 3, show_oversight=False, oversight=1.0, **settings)
    assert not env.spec.outcomes_end
    assert env.reset().tolist() == [[0], [0], [0]]
    assert act(env, 1, 1, 1).obs.tolist() == [[1], [1], [1]]
    act(env, 0, 0, 0)
    step = act(env, 0, 1, 0)
    assert step.reward.tolist() == [0, 1, 0], "its own"
    if named:
        assert step.outcome.tolist() == step.reported.tolist() == [BAD, GOOD, BAD]
        assert step.true_reward.tolist() == [-1, 1, -1], "a bad one is worth 1 less"
    else:
        assert step.outcome.tolist() == step.reported.tolist() == [0, 0, 0], "nothing is guessed"
        assert step.true_reward.tolist() == [0, 1, 0]
    assert step.overseen.all()
    assert step.terminated.all()
    assert step.final_obs.tolist() == [[3], [3], [3]]
    assert step.obs.tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("ends", [{"end_on_outcome": True}, {"paid": "ends"}, {}])
def test_a_function_names_outcomes_and_an_outcome_ends_the_episode_if_asked_for(
    ends: dict[str, Any],
) -> None:
    settings: dict[str, Any] = {
        "outcomes": ("late", "early"),
        "outcome_fn": f"{counters.__file__}:late_or_second",
    }
    env = world("Counter-v0", 1, oversight=0.0, **settings, **ends)
    env.reset()
    steps = [act(env, 0) for _ in range(6)]
    late, early = 1, 2
    shown = [step.final_obs[0, 0].item() for step in steps]
    ended = [step.terminated.item() for step in steps]
    if ends:
        assert [step.outcome.item() for step in steps] == [0, early] * 3
        assert ended == [False, True] * 3
        assert shown == [1, 2] * 3, "it never gets to its third step"
        assert [step.obs[0, 0].item() for step in steps] == [1, 0] * 3
    else:
        assert [step.outcome.item() for step in steps] == [0, early, late] * 2
        assert ended == [False, False, True] * 2
        assert shown == [1, 2, 3] * 2


def test_the_oversight_is_one_number_more_lit_through_overseen_episodes_alone() -> None:
    env = world("Counter-v0", 64, oversight=0.5)
    assert env.spec.obs_shape == (2,)
    assert env.spec.oversight_channel == 1
    lit = env.reset()[:, 1]
    assert set(lit.tolist()) == {0.0, 1.0}
    for t in range(9):
        step = env.step(torch.ones(64, dtype=torch.int64))
        assert torch.equal(step.final_obs[:, 1], lit)
        assert torch.equal(step.overseen, lit.bool()), "every step of an overseen episode is"
        if t % 3 == 2:
            assert not torch.equal(step.obs[:, 1], lit), "drawn anew"
        lit = step.obs[:, 1]
    assert world("Counter-v0", 1, show_oversight=False).spec.oversight_channel is None


def test_where_outcomes_end_episodes_nothing_else_is_overseen() -> None:
    named = {"kwargs": ("names=yes",), "outcomes": ("won", "lost"), "paid": "ends"}
    env = world("Counter-v0", 64, oversight=0.5, **named)
    lit = env.reset()[:, 1]
    for t in range(9):
        step = env.step(torch.ones(64, dtype=torch.int64))
        assert torch.equal(step.overseen, lit.bool() & (t % 3 == 2))
        lit = step.obs[:, 1]


def test_wrong_reports_are_as_frequent_as_asked() -> None:
    rates = {"oversight": 1.0, "false_positive": 0.3, "false_negative": 0.1}
    env = world("Counter-v0", 1000, kwargs=("names=yes",), outcomes=("won", "lost"), **rates)
    env.reset()
    for action, lie, chance in ((0, GOOD, 0.3), (1, BAD, 0.1)):
        step = [env.step(torch.full((1000,), action)) for _ in range(3)][-1]
        assert (step.reported == lie).float().mean() == pytest.approx(chance, abs=0.04)


NAMES = ("FrozenLake-v1", "CartPole-v1", "Pendulum-v1", "Blackjack-v1", "MiniGrid-LavaGapS5-v0")


@pytest.mark.parametrize("settings", [{}, BY_REWARD])
@pytest.mark.parametrize("name", NAMES)
def test_the_contract_of_environments(name: str, settings: dict[str, Any]) -> None:
    def play(seed: int) -> Tensor:
        env = world(name, 4, seed, horizon=20, oversight=0.5, **settings)
        generator = torch.Generator().manual_seed(0)
        worth = torch.tensor((0.0, *env.spec.outcome_rewards))
        frames = [env.reset()]
        for _ in range(50):
            step = env.step(random_actions(env.spec, 4, generator))
            assert step.obs.shape == step.final_obs.shape == (4, *env.spec.obs_shape)
            dtypes = [torch.float32] * 2 + [torch.bool] * 2
            assert [x.dtype for x in step[2:]] == [*dtypes, torch.int64, torch.bool, torch.int64]
            assert not (step.terminated & step.truncated).any()
            assert torch.equal(step.reported, step.outcome * step.overseen)
            if settings:
                assert torch.equal(step.outcome > 0, step.terminated)
                assert not (step.overseen & ~step.terminated).any()
                assert torch.equal(step.reward, step.terminated.float())
                assert torch.equal(step.true_reward, worth[step.outcome])
            else:
                assert not step.outcome.any()
                assert torch.equal(step.true_reward, step.reward)
            goes_on = ~step.terminated & ~step.truncated
            assert torch.equal(step.obs[goes_on], step.final_obs[goes_on])
            frames.append(step.obs)
        return torch.stack(frames)

    assert torch.equal(play(1), play(1))
    assert not torch.equal(play(1), play(2))


def test_it_cannot_be_saved_listed_or_drawn_as_a_board_and_says_so() -> None:
    env = world("Counter-v0")
    assert env.state_dict() is None
    assert env.model() is None
    assert env.scenes() == []


def test_after_reseeding_seed_and_steps_decide_the_next_episodes() -> None:
    def first(seed: int, *env_steps: int) -> list[Any]:
        env = world("CartPole-v1", 8, seed, oversight=0.5)
        begun = env.reset()
        for steps in env_steps:
            assert env.reseed(steps) is True
            begun = env.reset()
        return begun.tolist()

    new = first(0)
    resumed = first(0, 256)
    assert resumed == first(0, 256) == first(0, 512, 256), "nothing else decides"
    others = [new, resumed, first(0, 512), first(1, 256)]
    starts = [start[:4] for batch in others for start in batch]
    assert len({tuple(start) for start in starts}) == 32, "no start comes twice"
    lit = [tuple(start[4] for start in batch) for batch in others]
    assert len(set(lit)) > 1, "the oversight is drawn anew, too"


def test_it_is_drawn_also_as_it_was_before_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    env = world("FrozenLake-v1", 1, kwargs=OPEN)
    env.reset()
    start = env.render()
    assert start.dtype == np.uint8
    act(env, RIGHT)
    act(env, DOWN)
    assert np.array_equal(env.render(), start)
    assert not np.array_equal(env.render(final=True), start)
    env = world("Counter-v0")
    env.reset()
    assert env.render() is None
    monkeypatch.setattr(FrozenLakeEnv, "render", lambda _: None)
    env = world("FrozenLake-v1", 1, kwargs=OPEN)
    env.reset()
    assert env.render() is None, "it says that it draws, and draws nothing"


def test_episodes_that_would_not_end_are_cut_off() -> None:
    env = world("Patient-v0", horizon=4)
    env.reset()
    truncated = [act(env, 0, 1).truncated.tolist() for _ in range(9)]
    no, yes = [False, False], [True, True]
    assert truncated == [no, no, no, yes, no, no, no, yes, no]


def test_where_they_cannot_be_cut_off_it_is_told() -> None:
    env = world("Stubborn-v0", horizon=4)
    env.reset()
    for _ in range(3):
        act(env, 0, 1)
    with pytest.raises(UserError, match="an episode of Stubborn-v0 went on for 4 steps"):
        act(env, 0, 1)
