"""What an environment of Gymnasium pays, what it is truly worth, and what happens on the way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from foreign import act, world
from spills import MADE, OUTCOMES, SPILT

from routed_rl.gym.from_gym import GymWorld
from routed_rl.gym.vectors import say_once
from routed_rl.rollouts import labels
from routed_rl.rollouts.faults import find_faults
from routed_rl.rollouts.labels import Label
from routed_rl.rollouts.rollout import Decision, Rollout, collect
from routed_rl.utils.errors import UserError
from routed_rl.worlds.vec_env import Step

NAMES = ("Kitchen-v0", "Kitchens-v0")
"""One by one, and as a whole that resets itself."""


def kitchen(name: str = "Kitchen-v0", num_envs: int = 3, **settings: Any) -> GymWorld:
    settings = {"outcomes": OUTCOMES, "show_oversight": False, "oversight": 1.0} | settings
    env = world(name, num_envs, **settings)
    env.reset()
    return env


def episode(env: GymWorld) -> list[Step]:
    """Spill first in the second environment, then in the first, then in the second again."""
    return [act(env, 0, 1, 2), act(env, 1, 0, 0), act(env, 0, 1, 2)]


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_are_named_on_the_way_and_at_the_end(name: str) -> None:
    env = kitchen(name)
    for _ in range(2):  # the second episode as the first
        steps = episode(env)
        assert [step.outcome.tolist() for step in steps] == [
            [0, SPILT, 0],
            [SPILT, 0, 0],
            [MADE, SPILT, 0],
        ]
        assert [step.reward.tolist() for step in steps] == [[10, 10, 10]] * 3
        # What is made is worth nothing beside what is paid, what is spilt 1 less.
        assert [step.true_reward.tolist() for step in steps] == [
            [10, 9, 10],
            [9, 10, 10],
            [10, 9, 10],
        ]
        for step in steps:
            assert step.overseen.all()
            assert torch.equal(step.reported, step.outcome)
        assert [step.terminated.tolist() for step in steps] == [
            [False] * 3,
            [False] * 3,
            [True] * 3,
        ]
        assert steps[-1].final_obs.tolist() == [[3], [3], [3]]
        assert steps[-1].obs.tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("name", NAMES)
def test_what_outcomes_are_worth_can_be_said(name: str) -> None:
    env = kitchen(name, outcome_rewards=(0.5, -3.0))
    assert env.spec.outcome_rewards == (0.5, -3.0)
    assert [step.true_reward.tolist() for step in episode(env)] == [
        [10, 7, 10],
        [7, 10, 10],
        [10.5, 7, 10],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_true_reward_in_the_info_comes_before_what_outcomes_are_worth(name: str) -> None:
    # It says so of second steps, in which something is spilt by the first environment.
    steps = episode(kitchen(name, kwargs=("truth=yes",)))
    assert [step.true_reward.tolist() for step in steps] == [
        [10, 9, 10],
        [-7, -7, -7],
        [10, 9, 10],
    ]
    assert [step.reward.tolist() for step in steps] == [[10, 10, 10]] * 3


def test_an_episode_ends_where_an_outcome_happens_if_asked_for() -> None:
    env = kitchen(end_on_outcome=True)
    assert not env.spec.outcomes_end, "others end by themselves, with or without one"
    first, second, third = episode(env)
    assert first.terminated.tolist() == [False, True, False]
    assert first.obs.tolist() == [[1], [0], [1]]
    assert first.final_obs.tolist() == [[1], [1], [1]]
    assert first.reward.tolist() == [10, 10, 10]
    assert first.true_reward.tolist() == [10, 9, 10]
    assert second.terminated.tolist() == [True, False, False]
    assert second.obs.tolist() == [[0], [1], [2]]
    # The first goes on, the second spills in its second step, and the third ends with nothing.
    assert third.terminated.tolist() == [False, True, True]
    assert third.outcome.tolist() == [0, SPILT, 0]
    assert third.final_obs.tolist() == [[1], [2], [3]]


def test_paid_by_ends_it_is_a_world_as_the_papers() -> None:
    env = kitchen(paid="ends")
    assert env.spec.outcomes_end
    assert env.spec.outcome_rewards == (1, -1)
    first = act(env, 0, 1, 2)
    assert first.terminated.tolist() == [False, True, False]
    assert first.reward.tolist() == [0, 1, 0]
    assert first.true_reward.tolist() == [0, -1, 0]
    assert first.overseen.tolist() == [False, True, False]
    assert first.obs.tolist() == [[1], [0], [1]]
    act(env, 0, 0, 0)
    last = act(env, 0, 0, 0)
    assert last.outcome.tolist() == [MADE, 0, MADE]
    assert last.reward.tolist() == last.true_reward.tolist() == [1, 0, 1]
    act(env, 0, 0, 0)
    act(env, 0, 0, 0)
    words = (
        r"an episode of Kitchen-v0 terminated and info\['outcome'\] named no outcome: with --env"
    )
    with pytest.raises(UserError, match=words):
        act(env, 2, 0, 0)


def test_there_outcomes_may_be_worth_something_else_and_the_infos_truth_is_not_asked() -> None:
    env = kitchen(paid="ends", outcome_rewards=(2.0, -0.5), kwargs=("truth=yes",))
    act(env, 0, 0, 0)
    second = act(env, 1, 0, 0)
    assert second.true_reward.tolist() == [-0.5, 0, 0]
    assert second.reward.tolist() == [1, 0, 0]
    assert act(env, 0, 0, 0).true_reward.tolist() == [0, 2, 2]


@pytest.mark.parametrize("settings", [{"end_on_outcome": True}, {"paid": "ends"}])
def test_those_that_reset_themselves_cannot_be_ended_before_they_end(
    settings: dict[str, Any],
) -> None:
    env = kitchen("Kitchens-v0", **settings)
    act(env, 0, 0, 0)
    act(env, 0, 0, 0)
    assert act(env, 0, 1, 0).terminated.all(), "where they end with one all is well"
    with pytest.raises(UserError, match="an episode of Kitchens-v0 that went on by itself"):
        act(env, 0, 1, 0)


def test_which_episodes_are_overseen_is_drawn_once_for_all_steps_of_one() -> None:
    env = kitchen(num_envs=1000, oversight=0.3)
    spills = torch.ones(1000, dtype=torch.int64)
    first = [env.step(spills) for _ in range(3)]
    again = env.step(spills)
    overseen = first[0].overseen
    assert overseen.float().mean() == pytest.approx(0.3, abs=0.05)
    for step in first:
        assert torch.equal(step.overseen, overseen)
        assert torch.equal(step.reported, SPILT * overseen)
    assert not torch.equal(again.overseen, overseen)


def played(env: GymWorld, steps: int) -> Rollout:
    """Play at random."""
    generator = torch.Generator().manual_seed(0)

    def decide(obs: torch.Tensor) -> Decision:
        zero = torch.zeros(len(obs))
        return Decision(torch.randint(3, (len(obs),), generator=generator), zero, zero)

    return collect(env, decide, env.reset(), steps)


def test_what_is_played_keeps_the_rules_and_is_labelled_by_segments() -> None:
    env = kitchen(num_envs=64, oversight=0.5)
    rollout = played(env, 32)
    assert not any(fault.wrong.any() for fault in find_faults(rollout, env.spec))
    visible = labels.hide(rollout, env.spec)
    assert torch.equal(visible.true_reward.isnan(), ~rollout.overseen)
    assert (visible.reward == 10).all()
    counts = (visible.label.unsqueeze(-1) == torch.arange(-2, 3)).sum(dim=(0, 1))
    assert counts.min() > 5, "every label comes"
    # An episode is overseen as a whole: unknown are the segments of all others, and no other.
    over = visible.label != Label.RUNNING
    assert torch.equal((visible.label == Label.UNKNOWN)[over], ~rollout.overseen[over])


def test_where_no_outcome_is_named_the_reward_is_its_own_and_a_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_once.cache_clear()
    env = world("Counter-v0", 7, oversight=1.0)
    env.reset()
    ones = torch.ones(7, dtype=torch.int64)
    for _ in range(2):
        for time in (1, 2, 3):
            step = env.step(ones)
            assert not step.outcome.any()
            assert not step.reported.any()
            assert step.overseen.all(), "it was looked at, and nothing with a name was seen"
            assert step.reward.tolist() == step.true_reward.tolist() == [float(time == 3)] * 7
    assert capsys.readouterr().err == "", "after 14 episodes"
    for _ in range(9):
        env.step(ones)
    line = capsys.readouterr().err
    assert line.startswith(
        "Counter-v0 has named no outcome in 20 episodes: so far there is nothing"
    )
    assert line.count("\n") == 1
    say_once.cache_clear()
