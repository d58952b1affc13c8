from __future__ import annotations

import math

import pytest
import torch

from routed_rl.algorithms.advantages import Transitions, advantages, normalised, returns_to_go


def test_advantages_by_hand() -> None:
    terminated = torch.tensor([[False], [True], [False]])
    transitions = Transitions(
        reward=torch.tensor([[0.0], [1.0], [0.0]]),
        value=torch.tensor([[2.0], [3.0], [4.0]]),
        next_value=torch.tensor([[3.0], [100.0], [6.0]]),  # what follows an outcome must not matter
        terminated=terminated,
        done=terminated,
    )
    advantage, target = advantages(transitions, discount=0.5, gae_lambda=0.5)
    # delta: 0 + 0.5 * 3 - 2 = -0.5;  1 - 3 = -2;  0.5 * 6 - 4 = -1.
    # The first adds 0.25 of the second.
    assert advantage.squeeze(1).tolist() == [-1.0, -2.0, -1.0]
    assert target.squeeze(1).tolist() == [1.0, 1.0, 3.0]


def test_a_truncated_episode_bootstraps_and_takes_no_advantage_from_the_next() -> None:
    zero = torch.zeros(2, 1)
    transitions = Transitions(
        reward=torch.tensor([[0.0], [5.0]]),
        value=zero,
        next_value=torch.tensor([[4.0], [0.0]]),
        terminated=zero.bool(),
        done=torch.tensor([[True], [False]]),
    )
    advantage, _ = advantages(transitions, discount=0.5, gae_lambda=1.0)
    assert advantage.squeeze(1).tolist() == [2.0, 5.0]


def test_lambda_one_gives_the_discounted_return_with_a_bootstrap_at_the_edge() -> None:
    value = torch.randn(3, 1)
    never = torch.zeros(3, 1).bool()
    transitions = Transitions(
        reward=torch.tensor([[1.0], [1.0], [1.0]]),
        value=value,
        next_value=torch.cat((value[1:], torch.tensor([[8.0]]))),
        terminated=never,
        done=never,
    )
    _, target = advantages(transitions, discount=0.5, gae_lambda=1.0)
    assert target.squeeze(1).tolist() == pytest.approx([1 + 0.5 + 0.25 + 1, 1 + 0.5 + 2, 1 + 4])


def test_returns_to_go_by_hand() -> None:
    reward = torch.tensor([[1.0, 0.0], [2.0, 4.0], [4.0, 8.0]])
    done = torch.tensor([[False, True], [True, False], [False, False]])
    assert returns_to_go(reward, done, discount=0.5).tolist() == [[2, 0], [2, 8], [4, 8]]


def test_a_rollout_of_one_step_has_its_own_reward_alone() -> None:
    assert returns_to_go(torch.tensor([[3.0]]), torch.tensor([[False]]), discount=0.5) == 3


def test_normalised_advantages_have_a_mean_of_0_and_a_deviation_of_1() -> None:
    advantage = torch.tensor([1.0, 9.0, 1.0, 9.0])  # of deviation 4
    for weight in (torch.ones(4), torch.full((4,), 0.125)):
        assert normalised(advantage, weight).tolist() == pytest.approx([-1, 1, -1, 1])
    weight = torch.tensor([3.0, 1.0, 0.0, 0.0])  # mean 3, variance (3 * 4 + 36) / 4 = 12
    expected = [-2 / math.sqrt(12), 6 / math.sqrt(12)]
    assert normalised(advantage, weight)[:2].tolist() == pytest.approx(expected)


def test_what_differs_by_rounding_alone_is_not_made_large() -> None:
    assert normalised(torch.tensor([1e-8, -1e-8]), torch.ones(2)).tolist() == pytest.approx(
        [0.5, -0.5]
    )


def test_normalised_advantages_forget_what_has_no_weight() -> None:
    advantage = torch.tensor([1.0, 3.0, 100.0])
    weight = torch.tensor([1.0, 1.0, 0.0])
    assert normalised(advantage, weight)[:2].tolist() == pytest.approx([-1.0, 1.0])
    assert normalised(advantage, torch.zeros(3)).isfinite().all()
