"""Adam for routed gradients, one group a module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from routed_rl.sb3 import RoutedAdam


def two_groups(**settings: float) -> tuple[nn.Parameter, nn.Parameter, RoutedAdam]:
    first = nn.Parameter(torch.ones(2))
    second = nn.Parameter(torch.ones(2))
    groups = [{"params": [first]}, {"params": [second]}]
    return first, second, RoutedAdam(groups, lr=0.1, **settings)


def test_a_group_with_a_gradient_of_zeros_does_not_move() -> None:
    # Not even with warm momentum and weight decay.
    first, second, optimizer = two_groups(weight_decay=0.1)
    first.grad = torch.ones(2)
    second.grad = torch.ones(2)
    optimizer.step()
    before = (first.detach().clone(), second.detach().clone())
    first.grad = torch.zeros(2)
    second.grad = torch.tensor([0.0, 1e-6])
    optimizer.step()
    assert torch.equal(first, before[0])
    assert not torch.equal(second, before[1])


def test_groups_are_clipped_each_on_its_own() -> None:
    first, second, optimizer = two_groups(max_grad_norm=0.5)
    first.grad = torch.tensor([3.0, 4.0])
    second.grad = torch.tensor([0.3, 0.0])
    optimizer.step()
    assert first.grad.tolist() == pytest.approx([0.3, 0.4], rel=1e-5)
    assert second.grad.tolist() == pytest.approx([0.3, 0.0])


def test_its_settings_are_those_of_adam_and_its_defaults_are_ours() -> None:
    plain = RoutedAdam([nn.Parameter(torch.ones(2))])
    (group,) = plain.param_groups
    assert (group["lr"], group["weight_decay"], plain.max_grad_norm) == (3e-4, 1e-4, 0.5)
    weight = nn.Parameter(torch.ones(2))
    chosen = RoutedAdam([weight], lr=0.1, weight_decay=0.2, betas=(0.5, 0.75), eps=1.0)
    (group,) = chosen.param_groups
    assert (group["lr"], group["weight_decay"], group["eps"]) == (0.1, 0.2, 1.0)
    assert group["betas"] == (0.5, 0.75)
    weight.grad = torch.full((2,), 0.1)
    assert chosen.step(lambda: 7.0) == 7.0
