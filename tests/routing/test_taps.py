"""What a tap knows and asks, by hand: masks of outputs, rows of parameters, and who may teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from routed_rl.routing import Parameters, routed
from routed_rl.routing.learning import (
    Asking,
    Governed,
    Lesson,
    ParameterRule,
    Placed,
    Undivided,
    _kept,
    _of_learners,
    refuse_second_derivatives,
)
from routed_rl.routing.outputs import Place

YES_NO = torch.tensor([True, False])
ROWS = torch.zeros(2, 3)
MEAN = torch.tensor(0.0)
OUTPUT = [(ROWS, Place(".y")), (MEAN, Place(".mean"))]
HERE, THERE = nn.Identity(), nn.Identity()


def used(modules: Sequence[nn.Module] = (), **settings: Any) -> ParameterRule:
    return ParameterRule("key", Parameters(YES_NO, **settings), modules, [])


def test_a_number_for_all_is_let_be_only_where_rows_stand_beside_it_and_nobody_is_left() -> None:
    rows, mean = used().masks(HERE, OUTPUT, is_last=True)
    assert isinstance(rows, Tensor)
    assert rows.tolist() == [[True], [False]]
    assert mean == Undivided(".mean")
    with pytest.raises(ValueError, match=r"the mask has shape \(2,\), x has \(\)"):
        used().masks(HERE, OUTPUT, is_last=False)
    with pytest.raises(ValueError, match=r"the mask has shape \(2,\), x has \(\)"):
        used().masks(HERE, OUTPUT[1:], is_last=True)


def test_of_several_outputs_only_what_is_meant_has_a_mask() -> None:
    rows, mean = used([HERE], output="y").masks(HERE, OUTPUT, is_last=True)
    assert isinstance(rows, Tensor)
    assert mean is None
    with pytest.raises(ValueError, match=r"the mask has shape \(2,\), x has \(\)"):
        used([HERE], output="mean").masks(HERE, OUTPUT, is_last=True)
    with pytest.raises(ValueError, match="its output has no 'z' with a gradient"):
        used([HERE], output="z").masks(HERE, OUTPUT, is_last=True)


def test_samples_are_told_apart_inside_or_in_one_of_the_modules_that_are_named() -> None:
    assert used().tells_apart_at(HERE)
    for settings in ({"at": "module"}, {"output": "y"}):
        rule = used([THERE, HERE], **settings)
        assert rule.tells_apart_at(HERE)
        assert not rule.tells_apart_at(nn.Identity())
        with pytest.raises(ValueError, match="in the module that the rule names"):
            rule.masks(nn.Identity(), OUTPUT, is_last=True)


def test_rules_for_rows_hold_together_where_both_are_about_a_row() -> None:
    first, second, every = used(rows=[0, 1]), used(rows=slice(1, 3)), used()
    weight = nn.Parameter(torch.zeros(4, 2))
    own = Governed(weight, [first, second])
    found = {
        tuple(rows.nonzero().flatten().tolist()): rules
        for rules, rows in own.variants()
        if rows is not None
    }
    assert found == {(0,): (first,), (1,): (first, second), (2,): (second,), (3,): ()}
    assert len(list(own.variants())) == 4
    same = [rules for rules, _ in Governed(weight, [first, used(rows=[0, 1])]).variants()]
    assert sorted(map(len, same)) == [0, 2]
    assert list(Governed(weight, [every, every]).variants()) == [((every, every), None)]
    mixed = {rules for rules, _ in Governed(weight, [first, every]).variants()}
    assert mixed == {(first, every), (every,)}


@pytest.mark.parametrize(("shape", "count"), [((4, 2), 4), ((), 0)])
def test_rows_that_there_are_not_are_told(shape: tuple[int, ...], count: int) -> None:
    own = Governed(nn.Parameter(torch.zeros(shape)), [used(rows=[4])])
    with pytest.raises(ValueError, match=f"'key': of a parameter with {count} rows there are no"):
        list(own.variants())


def lesson(own: Governed, masks: dict[ParameterRule, list[Placed]]) -> Lesson:
    return Lesson([own, Governed(nn.Parameter(torch.zeros(1)), [])], masks, Asking())


def test_it_asks_once_for_each_set_of_rules_by_the_product_of_their_masks() -> None:
    first, second = used(rows=[0]), used()
    own = Governed(nn.Parameter(torch.zeros(3, 2)), [first, second])
    one = torch.tensor([True, True, False])
    two = torch.tensor([False, True, True])
    taught = lesson(own, {first: [one, one], second: [two, Undivided("[1]")]})
    asked = []

    def ask(masks: Sequence[Placed], which: Sequence[int]) -> list[Tensor | None]:
        assert taught.asking.now
        asked.append((masks, which))
        count = 0 if masks[0] is None else int(masks[0].sum())  # type: ignore[union-attr]
        return [torch.full((3, 2), 1.0 + count) for _ in which]

    learnt, other = taught.learnt(2, ask)
    assert not taught.asking.now
    by_number = {tuple(which): masks for masks, which in asked if masks[0] is not None}
    assert by_number.keys() == {(0,)}
    shown = [masks[0].tolist() for masks, _ in asked if masks[0] is not None]
    assert sorted(shown) == [[False, True, False], [False, True, True]]
    assert all(masks[1] == Undivided("[1]") for masks, _ in asked if masks[0] is not None)
    # Row 0 learns by both masks, the others by the second alone, and what has no rules from all.
    assert learnt is not None and other is not None
    assert learnt.tolist() == [[2, 2], [3, 3], [3, 3]]
    assert other.tolist() == [[1, 1]] * 3
    assert ([None, None], [1]) in asked


def test_while_another_asks_nothing_is_learnt_and_after_an_error_it_may_ask_again() -> None:
    rule = used()
    taught = lesson(Governed(nn.Parameter(torch.zeros(2)), [rule]), {rule: [YES_NO]})

    def fails(*_: Any) -> list[Tensor | None]:
        raise KeyboardInterrupt

    rows = lesson(Governed(nn.Parameter(torch.zeros(2)), [used(rows=[0])]), {})
    rows.masks.update({rule: [YES_NO] for rule in rows.governed[0].rules})
    assert rows.learnt(1, lambda _, which: [None] * len(which)) == [None, None], "nor any row"
    with pytest.raises(KeyboardInterrupt):
        taught.learnt(1, fails)
    assert not taught.asking.now
    assert taught.learnt(1, lambda _, which: [None] * len(which)) == [None, None]
    taught.asking.now = True
    assert taught.learnt(1, fails) == [None, None]


def test_of_a_gradient_is_kept_what_the_mask_lets_through() -> None:
    gradient = torch.tensor([[1.0], [2.0]])
    assert _kept(gradient, None) is gradient
    assert _kept(None, YES_NO) is None
    kept = _kept(gradient, YES_NO[:, None])
    assert kept is not None
    assert kept.tolist() == [[1], [0]]
    with pytest.raises(ValueError, match=r"came through output\.mean, one number for all"):
        _kept(gradient, Undivided(".mean"))


@pytest.mark.parametrize(
    ("mask", "gradients", "inputs"),
    [
        (None, [1, 2, 3], [4, 5, 6]),
        (torch.tensor([True, False, True]), [1, 3], [4, 6]),
        (torch.tensor([[True], [False], [True]]), [1, 3], [4, 6]),
        (torch.tensor([True, True, True]), [1, 2, 3], [4, 5, 6]),
        (torch.tensor([False, False, False]), [0, 0, 0], [4, 5, 6]),
        (torch.tensor([0.5, 0.0, -1.0]), [0.5, 0, -3], [4, 5, 6]),
        (torch.tensor(True), [1, 2, 3], [4, 5, 6]),
    ],
)
def test_a_layer_is_asked_about_the_samples_that_may_teach(
    mask: Tensor | None, gradients: list[float], inputs: list[float]
) -> None:
    placed = mask.reshape(-1, 1) if mask is not None else None
    gradient, x = _of_learners(
        torch.tensor([[1.0], [2], [3]]), torch.tensor([[4.0], [5], [6]]), placed
    )
    assert gradient.flatten().tolist() == gradients
    assert x.flatten().tolist() == inputs


def test_a_derivative_of_a_derivative_is_refused() -> None:
    with pytest.raises(RuntimeError, match="create_graph=True with the rule Parameters"):
        refuse_second_derivatives()
    with torch.no_grad():
        refuse_second_derivatives()


class TwoWays(nn.Module):
    """Two weights, each of which makes one output; no layer with a formula."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(1))
        self.b = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.a, x * self.b


class Stop(torch.autograd.Function):
    """The identity, whose gradient is none at all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        return None


def test_what_made_no_part_of_the_loss_learns_nothing() -> None:
    model, x = TwoWays(), torch.tensor([[2.0], [3.0]])
    with routed(model, {"": Parameters(YES_NO)}):
        model(x)[0].sum().backward()
    assert model.a.grad == 2
    assert model.b.grad is None
    model.zero_grad()
    with routed(model, {"": Parameters(YES_NO)}):
        first, second = model(x)
        (Stop.apply(first) + Stop.apply(second)).sum().backward()
    assert model.a.grad is None
    assert model.b.grad is None


@pytest.mark.parametrize("model", [TwoWays(), nn.Linear(1, 1)])
def test_no_module_is_differentiated_twice(model: nn.Module) -> None:
    x = torch.ones(2, 1, requires_grad=True)
    with routed(model, {"": Parameters(YES_NO)}):
        y = model(x)
        with pytest.raises(RuntimeError, match="there are first derivatives only"):
            torch.autograd.grad((y[0] if isinstance(y, tuple) else y).sum(), x, create_graph=True)
