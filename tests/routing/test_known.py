"""What was seen of a module's calls saves aliases, and is never believed where it may be wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mixed_batch import FIRST, batch, grads
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Parameters, frames, routed


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


def test_other_rules_are_about_what_was_not_seen_yet() -> None:
    model, fickle = deep()
    fickle.reaches = True
    check(model, model, {"*.part.bias": Parameters(FIRST), "1": Parameters(FIRST)}, model[1])  # type: ignore[index, arg-type]
    check(model, model, {"*.part": Parameters(FIRST)}, fickle.part)


def aliases(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count those that one step makes."""
    made = []
    plain = frames.Alias.apply
    with monkeypatch.context() as patch, routed(model, {"*": Parameters(FIRST)}):
        patch.setattr(frames.Alias, "apply", lambda p: made.append(1) or plain(p))
        model(batch(4)).sum().backward()
    return len(made)


def test_what_is_known_saves_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Sequential(nn.Linear(4, 4))) for _ in range(5)))
    model = model.double()
    # 10 parameters, each at three depths; then in the outermost module alone
    assert [aliases(model, monkeypatch) for _ in range(3)] == [30, 10, 10]
    model[0].requires_grad_(False)
    assert aliases(model, monkeypatch) == 8


def test_a_new_way_is_learnt_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fickle = deep()
    # 4 parameters outside, and 2 at each of two depths inside
    assert [aliases(model, monkeypatch) for _ in range(2)] == [4 + 2 * 2, 4]
    fickle.reaches = True
    # the outermost one taps; all is seen anew; then the one that reaches taps
    assert [aliases(model, monkeypatch) for _ in range(4)] == [4, 4 + 2 * 2, 4 + 2, 4 + 2]
