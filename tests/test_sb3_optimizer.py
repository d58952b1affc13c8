from __future__ import annotations

import pytest
import torch
from torch import nn

from routed_rl.sb3 import RoutedAdam


def two_groups(**settings: float) -> tuple[nn.Parameter, nn.Parameter, RoutedAdam]:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    return a, b, RoutedAdam([{"params": [a]}, {"params": [b]}], lr=0.1, **settings)


def test_a_group_with_an_exactly_zero_gradient_does_not_move_with_warm_momentum_and_weight_decay() -> None:
    a, b, optimizer = two_groups(weight_decay=0.1)
    a.grad, b.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    before = a.detach().clone(), b.detach().clone()
    a.grad, b.grad = torch.zeros(2), torch.tensor([0.0, 1e-6])
    optimizer.step()
    assert torch.equal(a, before[0])
    assert not torch.equal(b, before[1])


def test_groups_are_clipped_each_on_its_own() -> None:
    a, b, optimizer = two_groups(max_grad_norm=0.5)
    a.grad, b.grad = torch.tensor([3.0, 4.0]), torch.tensor([0.3, 0.0])
    optimizer.step()
    assert a.grad.tolist() == pytest.approx([0.3, 0.4], rel=1e-5)
    assert b.grad.tolist() == pytest.approx([0.3, 0.0])
