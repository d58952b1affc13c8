"""Parameters that are used now here, now there, and by models that nobody holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mixed_batch import FIRST, batch, grads
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Parameters, routed


class Fickle(nn.Module):
    """Calls its part, or reaches into it."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(4, 4).double()
        self.reaches = False

    def forward(self, x: Tensor) -> Tensor:
        if self.reaches:
            return functional.linear(x, self.part.weight, self.part.bias).tanh()
        return self.part(x).tanh()


class Caller(nn.Module):
    """Runs a model that it does not hold."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.own = nn.Linear(4, 4).double()
        self.others = [other]

    def forward(self, x: Tensor) -> Tensor:
        return self.others[0](self.own(x))


class Switch(nn.Module):
    """Takes gradients inside, where nobody outside does."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = x * 1.0
        with torch.enable_grad():
            return self.inside(x.detach())


def deep() -> tuple[nn.Module, Fickle]:
    fickle = Fickle()
    return nn.Sequential(nn.Sequential(fickle), nn.Linear(4, 4).double()), fickle


def check(model: nn.Module, call: Any, rules: Any, part: nn.Linear) -> None:
    """The part learns what the first sample teaches it, and that is not what all teach."""
    x = batch(4)
    names = [name for name, _ in model.named_parameters()]
    place = 1 + next(i for i, n in enumerate(names) if model.get_parameter(n) is part.weight)
    ours = grads(model, x, call, rules)[place]
    first = grads(model, x, lambda x: call(x[:1]), {})[place]
    every = grads(model, x, call, {})[place]
    assert torch.allclose(ours, first, rtol=1e-10)
    assert not torch.allclose(ours, every, rtol=1e-2)


@pytest.mark.parametrize("order", [(False, True, False), (True, False, True), (False, True, True)])
def test_a_module_that_changes_its_way_is_seen(order: tuple[bool, ...]) -> None:
    model, fickle = deep()
    for reaches in order:
        fickle.reaches = reaches
        check(model, model, {"*.part": Parameters(FIRST)}, fickle.part)


def test_a_model_inside_one_that_does_not_hold_it() -> None:
    inner, fickle = deep()
    outer = Caller(inner)
    for reaches in (False, True):
        fickle.reaches = reaches
        with routed(outer, {"own": Parameters(True)}):
            check(inner, outer, {"*.part": Parameters(FIRST)}, fickle.part)


def test_gradients_inside_that_nobody_outside_takes() -> None:
    inner, fickle = deep()
    outer = Switch(inner)
    for reaches in (False, True):
        fickle.reaches = reaches

        def call(x: Tensor) -> Tensor:
            with torch.no_grad():
                return outer(x)

        check(inner, call, {"*.part": Parameters(FIRST)}, fickle.part)


def test_rules_may_change_from_step_to_step() -> None:
    model, fickle = deep()
    fickle.reaches = True
    check(model, model, {"*.part.bias": Parameters(FIRST), "1": Parameters(FIRST)}, model[1])  # type: ignore[index, arg-type]
    check(model, model, {"*.part": Parameters(FIRST)}, fickle.part)
