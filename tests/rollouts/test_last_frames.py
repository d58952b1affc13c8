"""Which frames are looked up, by hand: each shows a number, so that a stack of them is a list."""

from __future__ import annotations

from dataclasses import replace

import torch
from helpers import by_hand

from routed_rl.rollouts.last_frames import LastFrames
from routed_rl.rollouts.rollout import Rollout


def numbered(first: int, ends: list[list[int]], start: list[int] | None = None) -> Rollout:
    """Make a rollout of two environments, which shows 10 (first + t) + b and leads to 0.5 more.

    What it ends with is what a rollout begins with whose `first` is T more.
    """
    rollout = by_hand(ends, [[0, 0]] * len(ends), [[0, 0]] * len(ends))
    time = torch.arange(first, first + len(ends) + 1, dtype=torch.float32)
    shown = (10 * time[:, None] + torch.arange(2))[:, :, None]
    obs = shown[:-1].clone()
    if start is not None:
        obs[0, :, 0] = torch.tensor(start)
    return replace(rollout, obs=obs, last_obs=shown[-1], final_obs=obs + 0.5)


def at(last: LastFrames, rollout: Rollout, time: int, env: int) -> list[float]:
    return last.at(rollout, (torch.tensor([time]), torch.tensor([env]))).squeeze(0).tolist()


def test_what_came_before_an_episode_is_zeros() -> None:
    last = LastFrames(3)
    rollout = numbered(1, [[0, 0], [1, 0], [0, 0], [0, 0]])
    last.follow(rollout)
    assert at(last, rollout, 0, 0) == [0, 10, 10.5]
    assert at(last, rollout, 1, 0) == [10, 20, 20.5], "the end itself shows what led to it"
    assert at(last, rollout, 2, 0) == [0, 30, 30.5], "the next episode has not seen it"
    assert at(last, rollout, 3, 0) == [30, 40, 40.5]
    assert at(last, rollout, 3, 1) == [31, 41, 41.5]


def test_an_episode_may_have_begun_two_rollouts_ago() -> None:
    last = LastFrames(6)
    # The first environment's episode begins in the second step, the second's before all.
    for first, ends in ((1, [[1, 0], [0, 0]]), (3, [[0, 0], [0, 0]])):
        last.follow(numbered(first, ends))
    rollout = numbered(5, [[0, 1], [0, 0]])
    last.follow(rollout)
    assert at(last, rollout, 0, 0) == [0, 20, 30, 40, 50, 50.5]
    assert at(last, rollout, 1, 0) == [20, 30, 40, 50, 60, 60.5]
    assert at(last, rollout, 0, 1) == [11, 21, 31, 41, 51, 51.5]
    assert at(last, rollout, 1, 1) == [0, 0, 0, 0, 61, 61.5]


def test_an_end_in_the_last_step_of_a_rollout_is_remembered() -> None:
    last = LastFrames(3)
    last.follow(numbered(1, [[0, 0], [1, 0]]))
    rollout = numbered(3, [[0, 0]])
    last.follow(rollout)
    assert at(last, rollout, 0, 0) == [0, 30, 30.5]
    assert at(last, rollout, 0, 1) == [21, 31, 31.5]


def test_rollouts_shorter_than_what_is_looked_at_and_what_is_saved() -> None:
    last = LastFrames(4)
    for first in (1, 2, 3):
        last.follow(numbered(first, [[0, 0]]))
    twin = LastFrames(4)
    twin.load_state_dict(last.state_dict())
    rollout = numbered(4, [[0, 0]])
    for one in (last, twin):
        one.follow(rollout)
        assert at(one, rollout, 0, 0) == [20, 30, 40, 40.5]
        assert at(one, rollout, 0, 0) == [20, 30, 40, 40.5], "to look changes nothing"


def test_after_steps_that_were_not_followed_the_past_is_not_known() -> None:
    last = LastFrames(3)
    last.follow(numbered(1, [[0, 0], [0, 0]]))
    rollout = numbered(3, [[0, 0], [0, 0]], start=[7, 8])
    last.follow(rollout)
    assert at(last, rollout, 0, 1) == [0, 8, 8.5]
    assert at(last, rollout, 1, 1) == [8, 41, 41.5]


def test_one_frame_alone_needs_no_past() -> None:
    last = LastFrames(1)
    rollout = numbered(1, [[0, 0], [0, 0]])
    last.follow(rollout)
    assert last.state_dict() == {}
    assert at(last, rollout, 1, 0) == [20.5]


def test_frames_lie_side_by_side_along_the_channels() -> None:
    last = LastFrames(2)
    obs = torch.arange(12.0).view(1, 1, 2, 3, 2)
    rollout = by_hand([[0]], [[0]], [[0]])
    rollout = replace(rollout, obs=obs, final_obs=-obs, last_obs=obs[0])
    last.follow(rollout)
    found = last.at(rollout, rollout.reward.eq(0).nonzero(as_tuple=True))
    assert found.shape == (1, 4, 3, 2)
    assert torch.equal(found[0, :2], obs[0, 0])
    assert torch.equal(found[0, 2:], -obs[0, 0])
