from __future__ import annotations

import pytest
import torch
from helpers import BY_HAND, OPEN, four_episodes, two_open_episodes

from routed_rl.rollouts import labels, rewards


def test_views_of_the_reward_by_hand() -> None:
    rollout = labels.hide(four_episodes(), BY_HAND)
    assert rollout.reward.tolist() == [[0, 0, 0, 0], [1, 1, 1, 0]]
    observed = rewards.observed(rollout, 2.0, BY_HAND.outcome_rewards)
    assert observed.tolist() == [[0, 0, 0, 0], [-1, 1, 1, 0]]
    assert rewards.seen(rollout).tolist() == [[0, 0, 0, 0], [-1, 0, 1, 0]]
    value = torch.tensor([[9.0] * 4, [0.0, 0.25, 1.0, 9.0]])
    inferred = rewards.inferred(rollout, value, BY_HAND)
    assert inferred.tolist() == [[0, 0, 0, 0], [0, 0.25, 1, 0]]
    cost = torch.tensor([[0.0] * 4, [-2.0, -0.5, 0.0, 0.0]])
    kept = rewards.inferred(rollout, cost, BY_HAND, keep_paid=True)
    assert kept.tolist() == [[0, 0, 0, 0], [-1, 0.5, 1, 0]]


def test_views_of_the_reward_where_outcomes_end_nothing() -> None:
    rollout = labels.hide(two_open_episodes(), OPEN)
    # Step t pays t + 1. The first environment is overseen: its ghost of step 1 costs 3.
    observed = rewards.observed(rollout, 0.5, OPEN.outcome_rewards)
    assert observed.T.tolist() == [[1, 1.5, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert rewards.seen(rollout).T.tolist() == [[1, -1, 3, 4, 5], [0, 0, 0, 0, 0]]
    worth = torch.tensor([[0.0, -3.0, 0.0, 0.0, 0.0], [-1.5, 0.0, 0.0, 0.0, -0.5]]).T
    inferred = rewards.inferred(rollout, worth, OPEN)
    assert inferred.T.tolist() == [[1, -1, 3, 4, 5], [-0.5, 2, 3, 4, 4.5]]


def test_only_what_is_worth_less_than_nothing_is_punished() -> None:
    rollout = labels.hide(two_open_episodes(), OPEN)
    assert torch.equal(rewards.observed(rollout, 2.0, (0.0, 0.0)), rollout.reward)
    both = rewards.observed(rollout, 2.0, (-0.1, -3.0))
    assert both[:, 0].tolist() == [1, 0, 1, 4, 5]


def test_what_became_of_an_older_view_is_told() -> None:
    with pytest.raises(
        AttributeError, match=r"^rewards\.reached is gone: .*is rollout\.reward, 1 at"
    ):
        rewards.reached  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'reach'$"):
        rewards.reach  # noqa: B018
