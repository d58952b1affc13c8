from __future__ import annotations

import pytest
import torch

from routed_rl.routing import route


def test_value_is_the_same_to_the_bit_and_gradient_is_exactly_zero_where_stopped() -> None:
    x = torch.randn(6, 3, requires_grad=True)
    keep = torch.tensor([True, False, True, False, False, True])
    y = route(x, keep)
    assert torch.equal(y, x)
    y.square().sum().backward()
    assert x.grad is not None
    assert (x.grad[~keep] == 0).all()
    assert torch.equal(x.grad[keep], 2 * x[keep])


def test_keep_may_decide_for_single_units() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    route(x, torch.tensor([[True, False], [False, True]])).sum().backward()
    assert torch.equal(x.grad, torch.eye(2))  # type: ignore[arg-type]


def test_wrong_dtype_and_shape_are_told() -> None:
    with pytest.raises(ValueError, match=r"float32.*bool"):
        route(torch.ones(2, 3), torch.ones(2))
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 3\)"):
        route(torch.ones(2, 3), torch.ones(3).bool())
