"""Rewards divided by the running deviation of the discounted return, computed by hand."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from helpers import CPU

from routed_rl.algorithms.signal import RewardScaler


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers)[:, None]  # (T, 1)


def test_rewards_are_scaled_by_hand_over_two_rollouts() -> None:
    scaler = RewardScaler(0.5, CPU)
    # The returns are 1 and 1.5, and in a new episode 2: of variance 1/6.
    scaled = scaler(column(1.0, 1.0, 2.0), column(0, 1, 0).bool())
    expected = [math.sqrt(6), math.sqrt(6), 2 * math.sqrt(6)]
    assert scaled.flatten().tolist() == pytest.approx(expected)
    # That episode goes on: its return is 2 / 2 + 4.
    scaled = scaler(column(4.0), column(1).bool())
    assert float(scaled) == pytest.approx(4 / np.std([1, 1.5, 2, 5]))
    # And the next begins with nothing.
    scaled = scaler(column(-3.0), column(0).bool())
    assert float(scaled) == pytest.approx(-3 / np.std([1, 1.5, 2, 5, -3]))


def test_each_environment_has_a_return_of_its_own() -> None:
    scaler = RewardScaler(1.0, CPU)
    none = torch.zeros(2, 2, dtype=torch.bool)
    scaled = scaler(torch.tensor([[1.0, 0.0], [1.0, 10.0]]), none)
    assert scaled[0, 0].item() == pytest.approx(1 / np.std([1, 0, 2, 10]))


def test_the_return_that_an_episode_has_so_far_goes_on_with_it() -> None:
    scaler = RewardScaler(0.5, CPU)
    scaler(column(2.0), column(0).bool())
    assert scaler.state_dict()["running"].tolist() == [2.0]
    reward = column(1.0, 4.0).requires_grad_()
    scaled = scaler(reward, column(0, 0).bool())  # returns 2, then 2 and 5
    assert scaled.flatten().tolist() == pytest.approx([1 / math.sqrt(2), 4 / math.sqrt(2)])
    assert not scaled.requires_grad
    assert scaler.state_dict()["running"].tolist() == [5.0]


def test_nothing_stays_nothing_and_what_is_rare_is_clipped() -> None:
    scaler = RewardScaler(0.9, CPU)
    never = torch.zeros(1000, 1, dtype=torch.bool)
    assert scaler(torch.zeros(1000, 1), never).abs().max() == 0
    rare = torch.zeros(1000, 1)
    rare[-2:, 0] = torch.tensor([1.0, -1.0])
    assert scaler(rare, never)[-2:].flatten().tolist() == [10, -10]


def test_it_goes_on_from_its_state() -> None:
    first = RewardScaler(0.9, CPU)
    second = RewardScaler(0.9, CPU)
    generator = torch.Generator().manual_seed(0)
    first(torch.randn(5, 3, generator=generator), torch.zeros(5, 3, dtype=torch.bool))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    reward = torch.randn(5, 3, generator=generator)
    done = torch.zeros(5, 3, dtype=torch.bool)
    assert torch.equal(first(reward, done), second(reward, done))
