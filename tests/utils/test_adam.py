"""Our Adam and clipping do what torch's do, to the bit, and leave alone what has no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from routed_rl.utils.adam import Adam, clip_grad_norm

SHAPES = ((3, 2), (5,), ())


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def step(trained: list[nn.Parameter], optimizer: Any, number: int) -> None:
    """Take a step by drawn gradients; the second parameter has one at even steps alone."""
    generator = torch.Generator().manual_seed(number)
    for index, parameter in enumerate(trained):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = gradient if index != 1 or number % 2 == 0 else None
    optimizer.step()


TORCH: dict[bool, Callable[..., Any]] = {False: torch.optim.Adam, True: torch.optim.AdamW}


@pytest.mark.parametrize("decoupled", [False, True])
def test_steps_are_those_of_torch_to_the_bit(decoupled: bool) -> None:
    ours, theirs = parameters(), parameters()
    adam = Adam(ours, 1e-2, weight_decay=0.1, decoupled=decoupled)
    reference = TORCH[decoupled](theirs, lr=1e-2, weight_decay=0.1, fused=True)
    for number in range(5):
        step(ours, adam, number)
        step(theirs, reference, number)
    for own, other in zip(ours, theirs, strict=True):
        assert torch.equal(own, other)


def test_the_first_step_is_the_step_size_in_the_gradients_direction() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    adam = Adam([weight], 0.5)
    weight.grad = torch.tensor([3.0, -0.2, 0.0])
    adam.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.5, 1.5, 1.0]))


def test_what_has_no_gradient_stays_and_so_do_its_moments() -> None:
    trained = parameters()
    adam = Adam(trained, 1e-2, weight_decay=0.1)
    step(trained, adam, 0)
    before = trained[1].detach().clone()
    moments = {name: value.clone() for name, value in adam.state_dict()["state"][1].items()}
    step(trained, adam, 1)
    assert torch.equal(trained[1], before)
    after: dict[str, Tensor] = adam.state_dict()["state"][1]
    assert all(torch.equal(after[name], moments[name]) for name in moments)


def test_it_does_nothing_without_gradients_and_forgets_them() -> None:
    trained = parameters()
    adam = Adam(trained, 1e-2)
    step(trained, adam, 0)
    before = [parameter.detach().clone() for parameter in trained]
    adam.zero_grad()
    adam.step()
    assert all(parameter.grad is None for parameter in trained)
    assert all(torch.equal(*pair) for pair in zip(trained, before, strict=True))


@pytest.mark.parametrize("saved_by_torch", [False, True])
def test_it_goes_on_where_a_state_was_taken(saved_by_torch: bool) -> None:
    whole, first, second = parameters(), parameters(), parameters()
    unbroken = Adam(whole, 1e-2)
    begun = torch.optim.Adam(first, lr=1e-2, fused=True) if saved_by_torch else Adam(first, 1e-2)
    for number in range(3):
        step(whole, unbroken, number)
        step(first, begun, number)
    resumed = Adam(second, 1e-2)
    resumed.load_state_dict(begun.state_dict())
    for own, other in zip(second, first, strict=True):
        own.data.copy_(other.data)
    step(first, begun, 7)  # what was taken is a copy
    for number in range(3, 6):
        step(whole, unbroken, number)
        step(second, resumed, number)
    assert all(torch.equal(*pair) for pair in zip(whole, second, strict=True))


def test_moments_of_another_shape_are_told() -> None:
    trained = parameters()
    optimizer = Adam(trained, 1e-2)
    step(trained, optimizer, 0)
    state = optimizer.state_dict()
    state["state"][1]["exp_avg"] = torch.zeros(())  # it would be spread over all five
    with pytest.raises(ValueError, match="moments of parameter 1 are of another shape"):
        Adam(parameters(), 1e-2).load_state_dict(state)


@pytest.mark.parametrize("size", [0.01, 1.0, math.nan], ids=["short", "long", "not-a-number"])
def test_gradients_are_clipped_as_torch_does_to_the_bit(size: float) -> None:
    ours, theirs = parameters(), parameters()
    for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        if number != 1:
            own.grad, other.grad = size * own.detach(), size * other.detach()
    clip_grad_norm(ours, 0.5)
    nn.utils.clip_grad_norm_(theirs, 0.5)
    for own, other in zip(ours, theirs, strict=True):
        assert (own.grad is None) == (other.grad is None)
        if own.grad is not None and other.grad is not None:
            assert torch.equal(own.grad.nan_to_num(7.0), other.grad.nan_to_num(7.0))


def test_a_gradient_keeps_its_direction_when_clipped() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    clip_grad_norm([weight], 0.5)
    torch.testing.assert_close(weight.grad, torch.tensor([0.3, 0.4]))
    clip_grad_norm([nn.Parameter(torch.zeros(2))], 0.5)  # without any there is nothing to do
