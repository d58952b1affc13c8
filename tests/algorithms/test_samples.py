"""What a rollout becomes, with a critic whose value of an observation is 100 times its number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import by_hand
from torch import Tensor

from routed_rl.algorithms.batch import Batch
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.samples import Sampler
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts.rollout import Rollout


def hundredfold(obs: Tensor, expert_weights: Tensor | None) -> Tensor:
    """Estimate 100 times what is shown, and once more the first expert's weight."""
    value = 100 * obs.squeeze(1)
    return value if expert_weights is None else value + expert_weights[:, 0]


def sampler(**settings: Any) -> Sampler:
    config = LearnerConfig(algorithm="reinforce", **settings)
    return Sampler(config, discount=0.5, preprocess=lambda obs: obs, value=hundredfold)


def rollout() -> Rollout:
    """Two steps of three environments: one goes on, one ran out of time, one reached a diamond.

    Step t of environment b shows t * 3 + b, and has value 10 t.
    """
    played = by_hand(
        outcome=[[0, 0, 0], [0, 0, 1]],
        overseen=[[0, 0, 0], [0, 0, 0]],
        truncated=[[0, 0, 0], [0, 1, 0]],
    )
    return replace(played, last_obs=torch.tensor([[7.0], [8.0], [9.0]]))


def targets(batch: Batch) -> list[list[float]]:
    return batch.value_target.view(2, 3).tolist()


def test_what_follows_is_the_critics_value_except_after_an_outcome() -> None:
    played = rollout()
    batch = sampler().samples(played, TrainingSignal(played.reward))
    # The last step: 0.5 * 100 * 7 of the next rollout's first frame; 0.5 * 100 * 4 of its own last
    # frame; and the reward alone. The first step is half of that: the plain return.
    assert targets(batch) == [[175, 100, 0.5], [350, 200, 1]]
    assert batch.advantage.view(2, 3).tolist() == [[175, 100, 0.5], [340, 190, -9]]


def test_without_a_bootstrap_nothing_follows() -> None:
    played = rollout()
    batch = sampler(bootstrap=False).samples(played, TrainingSignal(played.reward))
    assert targets(batch) == [[0, 0, 0.5], [0, 0, 1]]


def test_without_a_bootstrap_nothing_follows_the_end_of_time_either() -> None:
    # Three steps of two environments; the first runs out of time after its second step.
    played = by_hand([[0, 0]] * 3, [[0, 0]] * 3, [[0, 0], [1, 0], [0, 0]])
    batch = sampler(bootstrap=False).samples(played, TrainingSignal(torch.ones(3, 2)))
    assert batch.value_target.view(3, 2).tolist() == [[1.5, 1.75], [1, 1.5], [1, 1]]


def test_ppo_has_generalised_advantages_of_mean_0_and_deviation_1() -> None:
    played = by_hand([[0], [1]], [[0], [0]], [[0], [0]])
    ppo = replace(sampler(), config=LearnerConfig(algorithm="ppo", gae_lambda=0.5))
    batch = ppo.samples(played, TrainingSignal(torch.tensor([[0.0], [30.0]])))
    # Values are 0 and 10: deltas 0.5 * 10 and 30 - 10, and a quarter of the second.
    assert batch.value_target.tolist() == [5 + 20 / 4, 30]
    assert batch.advantage.tolist() == pytest.approx([-1, 1])
    # Only the first counts.
    signal = TrainingSignal(torch.tensor([[0.0], [30.0]]), weight=torch.tensor([[1.0], [0.0]]))
    assert ppo.samples(played, signal).advantage[0] == 0


def test_no_gradient_comes_by_the_samples() -> None:
    factor = torch.ones((), requires_grad=True)
    learning = replace(sampler(), value=lambda obs, _: factor * obs.squeeze(1))
    played = rollout()
    batch = learning.samples(played, TrainingSignal(played.reward))
    assert not batch.value_target.requires_grad
    assert not batch.advantage.requires_grad


def test_the_critic_is_told_the_weights_of_the_last_step_and_of_the_one_that_was_cut() -> None:
    played = by_hand([[0, 0]] * 4, [[0, 0]] * 4, [[0, 0], [1, 0], [0, 0], [0, 0]])
    weights = torch.arange(16.0).view(4, 2, 2)  # the first expert's: 0, 2; 4, 6; 8, 10; 12, 14
    batch = sampler().samples(
        replace(played, expert_weights=weights), TrainingSignal(torch.zeros(4, 2))
    )
    target = batch.value_target.view(4, 2)
    # The last observations are 6 and 7, that of the cut is 2.
    assert target[3].tolist() == [(600 + 12) / 2, (700 + 14) / 2]
    assert target[1, 0] == (200 + 4) / 2


def test_inputs_that_differ_by_what_is_swapped_are_two() -> None:
    played = by_hand([[0, 0]], [[0, 0]], [[0, 0]])
    swapped = replace(
        played,
        obs=torch.tensor([[[1.0], [2.0]]]),
        expert_weights=torch.tensor([[[2.0], [1.0]]]),
    )
    batch = sampler().samples(swapped, TrainingSignal(played.reward))
    assert batch.inputs.obs[batch.input_index].flatten().tolist() == [1, 2]


def test_the_critic_is_told_the_weights_that_were_acted_with() -> None:
    weights = torch.tensor([[2.0, 0.0], [4.0, 0.0], [6.0, 0.0]]).expand(2, 3, 2)
    played = replace(rollout(), expert_weights=weights)
    batch = sampler().samples(played, TrainingSignal(played.reward))
    assert targets(batch)[1] == [351, 202, 1]
    assert batch.inputs.expert_weights is not None
    shown = batch.inputs.expert_weights[batch.input_index]
    assert torch.equal(shown, weights.flatten(0, 1))


def test_each_sample_keeps_what_is_its_own() -> None:
    played = rollout()
    obs = torch.tensor([[[5.0], [6.0], [5.0]], [[5.0], [6.0], [6.0]]])
    grad_mask = torch.tensor([[[1, 0]] * 3, [[1, 0], [1, 0], [0, 1]]]).bool()
    number = torch.arange(6).view(2, 3)
    signal = TrainingSignal(
        played.reward,
        weight=number.float(),
        grad_mask=grad_mask,
        gate_target=10 * number,
        gate_weight=number / 10,
    )
    batch = sampler().samples(replace(played, obs=obs), signal)
    assert len(batch.inputs.obs) == 3, "5, 6, and 6 that may train something else"
    assert torch.equal(batch.inputs.obs[batch.input_index], obs.flatten(0, 1))
    assert batch.inputs.grad_mask is not None
    assert torch.equal(batch.inputs.grad_mask[batch.input_index], grad_mask.flatten(0, 1))
    assert batch.action.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.weight.tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.gate_target is not None
    assert batch.gate_target.tolist() == [0, 10, 20, 30, 40, 50]
    assert batch.gate_weight is not None
    assert (10 * batch.gate_weight).tolist() == pytest.approx([0, 1, 2, 3, 4, 5])
    taken = batch.take(torch.tensor([4, 1]))
    assert taken.gate_weight is not None
    assert (10 * taken.gate_weight).tolist() == pytest.approx([4, 1])


def test_inputs_are_what_the_policy_sees_and_hashes_from_acting_are_trusted() -> None:
    played = rollout()
    blind = replace(sampler(), preprocess=lambda obs: 0 * obs)
    batch = blind.samples(played, TrainingSignal(played.reward))
    assert batch.inputs.obs.tolist() == [[0.0]]
    hashes = torch.tensor([[1, 1, 2], [2, 2, 2]])
    batch = sampler().samples(replace(played, obs_hash=hashes), TrainingSignal(played.reward))
    first, _, second, *_ = batch.input_index.tolist()
    assert batch.input_index.tolist() == [first, first, second, second, second, second]
    assert first != second
