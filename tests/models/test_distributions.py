from __future__ import annotations

import math

import pytest
import torch

from routed_rl.models.distributions import (
    Categorical,
    Gaussian,
    GaussianHead,
    MultiCategorical,
)


def test_categorical_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    assert Categorical().log_prob(logits, torch.tensor([1, 0])).tolist() == pytest.approx(
        [math.log(0.75), -math.log(2)]
    )
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert Categorical().entropy(logits).tolist() == pytest.approx([entropy, math.log(2)])
    assert Categorical().mode(logits).tolist() == [1, 0]


def test_categorical_draws_have_their_probabilities() -> None:
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(100_000, 3)
    action, log_prob = Categorical().sample(logits, torch.Generator().manual_seed(0))
    assert (action.bincount() / 100_000).tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.01)
    assert torch.equal(log_prob, Categorical().log_prob(logits, action))


def test_several_whole_numbers_by_hand() -> None:
    both = MultiCategorical((2, 3))
    # 1/4, 3/4 and 1/2, 1/4, 1/4
    logits = torch.tensor([[0.0, math.log(3.0), math.log(2.0), 0.0, 0.0]])
    assert both.log_prob(logits, torch.tensor([[1, 2]])).tolist() == pytest.approx(
        [math.log(0.75 * 0.25)]
    )
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    second = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert both.entropy(logits).tolist() == pytest.approx([first + second])
    assert both.mode(logits).tolist() == [[1, 0]]


def test_several_whole_numbers_are_as_torch_has_them() -> None:
    sizes = (2, 5, 3)
    logits = torch.randn(100, 10, generator=torch.Generator().manual_seed(0))
    action, log_prob = MultiCategorical(sizes).sample(logits, torch.Generator().manual_seed(1))
    assert action.shape == (100, 3)
    assert action.dtype == torch.int64
    theirs = [torch.distributions.Categorical(logits=part) for part in logits.split(sizes, dim=1)]
    expected = sum(one.log_prob(action[:, i]) for i, one in enumerate(theirs))
    assert torch.equal(log_prob, MultiCategorical(sizes).log_prob(logits, action))
    assert torch.allclose(log_prob, torch.as_tensor(expected), atol=1e-6)
    entropy = torch.stack([one.entropy() for one in theirs]).sum(dim=0)
    assert torch.allclose(MultiCategorical(sizes).entropy(logits), entropy, atol=1e-6)


def test_several_whole_numbers_are_drawn_independently() -> None:
    logits = torch.tensor([0.2, 0.8, 0.1, 0.2, 0.7]).log().expand(100_000, 5)
    action, _ = MultiCategorical((2, 3)).sample(logits, torch.Generator().manual_seed(0))
    shares = (action[:, 0] * 3 + action[:, 1]).bincount() / 100_000
    expected = [0.02, 0.04, 0.14, 0.08, 0.16, 0.56]
    assert shares.tolist() == pytest.approx(expected, abs=0.01)


def test_gaussian_by_hand() -> None:
    # means 1 and -1, deviations 1 and 2
    parameters = torch.tensor([[1.0, -1.0, 0.0, math.log(2.0)]])
    action = torch.tensor([[2.0, 3.0]])
    expected = -(0.5 + 0.5 * math.log(2 * math.pi)) - (
        2.0 + math.log(2.0) + 0.5 * math.log(2 * math.pi)
    )
    assert Gaussian().log_prob(parameters, action).tolist() == pytest.approx([expected])
    assert Gaussian().entropy(parameters).tolist() == pytest.approx(
        [math.log(2 * math.pi * math.e) + math.log(2.0)]
    )
    assert Gaussian().mode(parameters).tolist() == [[1.0, -1.0]]


def test_gaussian_draws_have_their_mean_and_deviation() -> None:
    parameters = torch.tensor([1.0, -1.0, 0.0, math.log(2.0)]).expand(100_000, 4)
    action, log_prob = Gaussian().sample(parameters, torch.Generator().manual_seed(0))
    assert action.mean(dim=0).tolist() == pytest.approx([1.0, -1.0], abs=0.03)
    assert action.std(dim=0).tolist() == pytest.approx([1.0, 2.0], abs=0.03)
    assert torch.equal(log_prob, Gaussian().log_prob(parameters, action))


def test_deviations_are_learnt_but_do_not_depend_on_what_is_seen() -> None:
    head = GaussianHead(torch.nn.Linear(3, 2), 2)
    parameters = head(torch.randn(5, 3))
    assert (parameters[:, 2:] == 0).all()
    parameters[:, 2:].sum().backward()
    assert head.log_std.grad is not None
    assert head.log_std.grad.tolist() == [5.0, 5.0]
    assert all(p.grad is None or (p.grad == 0).all() for p in head.mean.parameters())
