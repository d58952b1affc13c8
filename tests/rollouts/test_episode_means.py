"""Means over the episodes that end in a rollout."""

from __future__ import annotations

import torch
from helpers import CPU, two_open_episodes

from routed_rl.rollouts.episode_means import EpisodeMeans

NAMES = ("diamond", "ghost")
MEANS = {"rollout/ep_rew_mean", "rollout/ep_true_rew_mean", "rollout/ep_len_mean"}


def test_episodes_are_followed_over_rollouts() -> None:
    """Steps of `two_open_episodes` pay 1, 2, 3, 4 to an episode, and 5 to the one after it.

    A ghost takes 3 of what is paid.
    """
    rollout = two_open_episodes()
    means = EpisodeMeans(2, CPU)
    first = means.describe(rollout, NAMES)
    assert first["rollout/episodes"] == 2
    assert first["rollout/ep_rew_mean"] == 10.0
    assert first["rollout/ep_true_rew_mean"] == 7.0
    assert first["rollout/ep_len_mean"] == 4.0
    assert (first["rollout/diamond"], first["rollout/ghost"]) == (1.0, 1.0)
    assert first["rollout/overseen"] == 0.5
    second = means.describe(rollout, NAMES)
    assert second["rollout/ep_rew_mean"] == 5.0 + 10.0, "of before"
    assert second["rollout/ep_true_rew_mean"] == 5.0 + 7.0
    assert second["rollout/ep_len_mean"] == 1.0 + 4.0


def test_where_no_episode_ended_there_is_no_mean() -> None:
    rollout = two_open_episodes()
    never = torch.zeros_like(rollout.terminated)
    object.__setattr__(rollout, "terminated", never)
    means = EpisodeMeans(2, CPU)
    assert not MEANS & set(means.describe(rollout, NAMES))
    twin = EpisodeMeans(2, CPU)
    twin.load_state_dict(means.state_dict())
    at_last = never.clone()
    at_last[0, 0] = True
    object.__setattr__(rollout, "terminated", at_last)
    assert twin.describe(rollout, NAMES)["rollout/ep_len_mean"] == 5.0 + 1.0
    assert means.describe(rollout, NAMES)["rollout/ep_rew_mean"] == 15.0 + 1.0
