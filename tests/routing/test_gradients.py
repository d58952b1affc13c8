from __future__ import annotations

import pytest
import torch

from routed_rl.routing.gradients import attach_loss, route, zeroed


def test_value_is_the_same_to_the_bit_and_gradient_is_exactly_zero_where_stopped() -> None:
    x = torch.randn(6, 3, requires_grad=True)
    grad_mask = torch.tensor([True, False, True, False, False, True])
    y = route(x, grad_mask)
    assert torch.equal(y, x)
    y.square().sum().backward()
    assert x.grad is not None
    assert (x.grad[~grad_mask] == 0).all()
    assert torch.equal(x.grad[grad_mask], 2 * x[grad_mask])


def test_a_mask_may_decide_for_single_units() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    route(x, torch.tensor([[True, False], [False, True]])).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.eye(2))


def test_a_float_scales_the_gradient_and_not_the_value() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    y = route(x, torch.tensor([0.5, -1.0, 0.0]))
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.tensor([[0.5, 0.5], [-1.0, -1.0], [0.0, 0.0]]))


def test_wrong_dtype_and_shape_are_told() -> None:
    with pytest.raises(ValueError, match=r"int64.*bool"):
        route(torch.ones(2, 3), torch.ones(2).long())
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 3\)"):
        route(torch.ones(2, 3), torch.ones(3).bool())


def test_a_mask_of_rows_may_have_a_last_axis_of_one() -> None:
    x = torch.ones(2, 2, 3, requires_grad=True)
    grad_mask = torch.tensor([[True, False], [False, True]])
    route(x, grad_mask[:, :, None]).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad[..., 0], torch.eye(2))


def test_an_attached_loss_adds_its_gradient_once() -> None:
    a = torch.tensor([2.0], requires_grad=True)
    b = torch.tensor(3.0, requires_grad=True)
    y = attach_loss(a * 2, b**2)
    assert torch.equal(y, a * 2)
    (100 * y).sum().backward()
    assert a.grad == 200
    assert b.grad == 6


def test_what_is_zeroed_is_zero_in_value_and_gradient() -> None:
    x = torch.full((2, 3), 5.0, requires_grad=True)
    y = zeroed(x, torch.tensor([True, False]))
    assert y.tolist() == [[5, 5, 5], [0, 0, 0]]
    assert zeroed(x, torch.tensor([0.5, 0.0])).tolist() == [[2.5, 2.5, 2.5], [0, 0, 0]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 1, 1], [0, 0, 0]]
