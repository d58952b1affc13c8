from __future__ import annotations

import torch
from helpers import by_hand, four_episodes

from routed_rl.rollouts import labels, rewards


def test_reached_rewards_any_end_and_nothing_else() -> None:
    rollout = by_hand(
        outcome=[[0, 1], [2, 0]], overseen=[[0, 0], [1, 0]], truncated=[[0, 0], [0, 1]]
    )
    assert rewards.reached(rollout).tolist() == [[0, 1], [1, 0]]


def test_views_of_the_reward_by_hand() -> None:
    rollout = labels.hide(four_episodes(), (1.0, -1.0))
    assert rewards.reached(rollout).tolist() == [[0, 0, 0, 0], [1, 1, 1, 0]]
    assert rewards.observed(rollout, 2.0).tolist() == [[0, 0, 0, 0], [-1, 1, 1, 0]]
    assert rewards.seen(rollout).tolist() == [[0, 0, 0, 0], [-1, 0, 1, 0]]
    value = torch.tensor([[9.0] * 4, [0.0, 0.25, 1.0, 9.0]])
    assert rewards.inferred(rollout, value).tolist() == [[0, 0, 0, 0], [0, 0.25, 1, 0]]
