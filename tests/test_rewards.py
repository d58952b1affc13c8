from __future__ import annotations

import pytest
import torch
from helpers import by_hand

from routed_rl import labels, rewards
from routed_rl.rollout import Rollout


def test_reached_rewards_any_end_and_nothing_else() -> None:
    rollout = by_hand(outcome=[[0, 1], [2, 0]], overseen=[[0, 0], [1, 0]], truncated=[[0, 0], [0, 1]])
    assert rewards.reached(rollout).tolist() == [[0, 1], [1, 0]]


def test_advantages_by_hand() -> None:
    reward = torch.tensor([[0.0], [1.0], [0.0]])
    value = torch.tensor([[2.0], [3.0], [4.0]])
    next_value = torch.tensor([[3.0], [100.0], [6.0]])  # what follows an outcome must not matter
    terminated = torch.tensor([[False], [True], [False]])
    advantage, target = rewards.advantages(reward, value, next_value, terminated, terminated, 0.5, 0.5)
    # delta: 0 + 0.5 * 3 - 2 = -0.5;  1 - 3 = -2;  0.5 * 6 - 4 = -1. The first adds 0.25 of the second.
    assert advantage.squeeze(1).tolist() == [-1.0, -2.0, -1.0]
    assert target.squeeze(1).tolist() == [1.0, 1.0, 3.0]


def test_a_truncated_episode_bootstraps_and_passes_no_trace_on() -> None:
    truncated = torch.tensor([[True], [False]])
    zero = torch.zeros(2, 1)
    next_value = torch.tensor([[4.0], [0.0]])
    advantage, _ = rewards.advantages(torch.tensor([[0.0], [5.0]]), zero, next_value, zero.bool(), truncated, 0.5, 1.0)
    assert advantage.squeeze(1).tolist() == [2.0, 5.0]


def test_trace_one_gives_the_discounted_return_with_a_bootstrap_at_the_edge() -> None:
    reward = torch.tensor([[1.0], [1.0], [1.0]])
    value = torch.randn(3, 1)
    next_value = torch.cat((value[1:], torch.tensor([[8.0]])))
    no = torch.zeros(3, 1).bool()
    _, target = rewards.advantages(reward, value, next_value, no, no, 0.5, 1.0)
    assert target.squeeze(1).tolist() == pytest.approx([1 + 0.5 + 0.25 + 1, 1 + 0.5 + 2, 1 + 4])


def overseen_in_part() -> Rollout:
    """Four envs, two steps: a ghost seen, a ghost unseen, a diamond seen, nothing yet."""
    rollout = by_hand([[0, 0, 0, 0], [2, 2, 1, 0]], [[0] * 4, [1, 0, 1, 0]], [[0] * 4] * 2)
    return labels.hide(rollout, (1.0, -1.0))


def test_views_of_the_reward_by_hand() -> None:
    rollout = overseen_in_part()
    assert rewards.reached(rollout).tolist() == [[0, 0, 0, 0], [1, 1, 1, 0]]
    assert rewards.observed(rollout, 2.0).tolist() == [[0, 0, 0, 0], [-1, 1, 1, 0]]
    assert rewards.seen(rollout).tolist() == [[0, 0, 0, 0], [-1, 0, 1, 0]]
    value = torch.tensor([[9.0] * 4, [0.0, 0.25, 1.0, 9.0]])
    assert rewards.inferred(rollout, value).tolist() == [[0, 0, 0, 0], [0, 0.25, 1, 0]]


def test_normalised_advantages_forget_what_has_no_weight() -> None:
    advantage, weight = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([1.0, 1.0, 0.0])
    assert rewards.normalised(advantage, weight)[:2].tolist() == pytest.approx([-1.0, 1.0])
    assert rewards.normalised(advantage, torch.zeros(3)).isfinite().all()
