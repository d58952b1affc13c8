"""What a layer's formula says its parameters learn, against autograd; and when there is none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from routed_rl.routing import Parameters
from routed_rl.routing.formulas import formula_for, formula_of
from routed_rl.routing.learning import Governed, ParameterRule

BOTH = {"weight", "bias"}
X = torch.linspace(-1, 2, 24, dtype=torch.float64)
IDS = torch.tensor([[0, 1, 1], [3, 1, 2]])


def layers() -> list[tuple[nn.Module, Tensor]]:
    torch.manual_seed(0)
    return [
        (nn.Linear(4, 3), X.view(6, 4)),
        (nn.Linear(4, 3), X.view(2, 3, 4)),
        (nn.Linear(4, 3, bias=False), X.view(6, 4)),
        (nn.LayerNorm(4, eps=0.3), X.view(2, 3, 4)),
        (nn.LayerNorm((3, 4)), X.view(2, 3, 4)),
        (nn.Embedding(5, 2), IDS),
        (nn.Embedding(5, 2, padding_idx=1), IDS),
        (nn.Embedding(5, 2, scale_grad_by_freq=True), IDS),
        (nn.Conv1d(2, 4, 2, stride=2, padding=1, dilation=2, groups=2), X.view(2, 2, 6)),
        (nn.Conv2d(2, 3, 2), X.view(2, 2, 2, 3)),
        (nn.Conv3d(1, 2, 1), X.view(2, 1, 2, 3, 2)),
    ]


@pytest.mark.parametrize("number", range(len(layers())))
def test_a_formula_gives_what_autograd_gives(number: int) -> None:
    layer, x = layers()[number]
    layer = layer.double()
    names = {name for name, _ in layer.named_parameters()}
    formula = formula_of(layer, (x,), names)
    assert formula is not None
    y = layer(x)
    gradient = torch.linspace(1, -2, y.numel(), dtype=torch.float64).view_as(y)
    y.backward(gradient)
    expected = {name: p.grad for name, p in layer.named_parameters()}
    for wanted in ({"weight"}, {"bias"}, BOTH):
        if wanted <= names:
            found = formula(layer, x, gradient, wanted)
            assert found.keys() == wanted
            for name, learnt in found.items():
                assert torch.allclose(learnt, expected[name], rtol=1e-12), name
                assert not learnt.requires_grad


def replaced(layer: nn.Module) -> nn.Module:
    layer.forward = lambda x: x  # type: ignore[method-assign]
    return layer


def hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_pre_hook(lambda *_: None)
    return layer


class Own(nn.Linear):
    """Another type than nn.Linear."""


ROWS = X.view(6, 4).float()


@pytest.mark.parametrize(
    ("layer", "args", "names"),
    [
        (nn.Bilinear(4, 4, 2), (ROWS,), BOTH),
        (Own(4, 3), (ROWS,), BOTH),
        (replaced(nn.Linear(4, 3)), (ROWS,), BOTH),
        (hooked(nn.Linear(4, 3)), (ROWS,), BOTH),
        (nn.Linear(4, 3), (ROWS, ROWS), BOTH),
        (nn.Linear(4, 3), (), BOTH),
        (nn.Linear(4, 3), (ROWS,), {"weight", "scale"}),
        (nn.Linear(4, 3), (ROWS.tolist(),), BOTH),
        (nn.Linear(4, 3), (ROWS.to_sparse(),), BOTH),
        (nn.Linear(4, 3), (ROWS.to_mkldnn(),), BOTH),
        (nn.Linear(4, 3), (ROWS[0],), BOTH),
        (nn.Linear(4, 3), (ROWS.long(),), BOTH),
        (nn.Linear(6, 3), (ROWS.t(),), BOTH),
        (nn.LayerNorm(6), (ROWS.t(),), BOTH),
        (nn.Embedding(5, 2), (IDS[0],), {"weight"}),
        (nn.Embedding(5, 2), (IDS[:, :2],), {"weight"}),
        (nn.Embedding(5, 2, max_norm=1.0), (IDS,), {"weight"}),
        (nn.Embedding(5, 2, sparse=True), (IDS,), {"weight"}),
        (nn.Conv1d(2, 4, 2, padding="same"), (X.view(2, 2, 6),), BOTH),
        (nn.Conv1d(2, 4, 2, padding_mode="circular"), (X.view(2, 2, 6),), BOTH),
        (nn.Conv1d(2, 4, 2), (X.view(4, 6),), BOTH),
        (nn.Conv1d(2, 4, 2), (X.view(2, 2, 6).long(),), BOTH),
        (nn.Conv2d(2, 4, 2), (X.view(2, 4, 3),), BOTH),
    ],
)
def test_other_layers_and_inputs_have_none(
    layer: nn.Module, args: tuple[Any, ...], names: set[str]
) -> None:
    assert formula_of(layer, args, names) is None


def test_texts_have_one_however_long() -> None:
    for ids in (IDS, IDS.t(), torch.zeros(2, 3, 3, dtype=torch.long)):
        assert formula_of(nn.Embedding(5, 2), (ids,), {"weight"}) is not None


def slot(layer: nn.Module, rule: Parameters, name: str = "weight") -> Any:
    parameter = getattr(layer, name)
    used = ParameterRule(name, rule, [], [parameter])
    return SimpleNamespace(holder=layer, name=name, governed=Governed(parameter, [used]))


MASK = torch.ones(2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("rule", "served"),
    [
        (Parameters(MASK), True),
        (Parameters(torch.ones(2, 3)), True),
        (Parameters(torch.ones(2, 3), batch_axis=0), True),
        (Parameters(torch.tensor(0.5)), True),
        (Parameters(torch.ones(2, 3, 1)), False),  # of units of the output, not of rows
        (Parameters(torch.ones(2, 3, 4)), False),  # as many as the input's features
        (Parameters(torch.ones(3)), False),
        (Parameters(MASK, output=0), False),
        (Parameters(MASK, batch_axis=1), False),
    ],
)
def test_masks_of_rows_are_served(rule: Parameters, served: bool) -> None:
    linear = nn.Linear(4, 3)
    x = X.view(2, 3, 4)
    assert (formula_for(linear, (x,), [slot(linear, rule)]) is not None) == served
    words = nn.Embedding(5, 2)  # ids have no axis of features
    assert (formula_for(words, (IDS,), [slot(words, rule)]) is not None) == served


def test_every_rule_and_every_place_has_to_be_served() -> None:
    linear, other = nn.Linear(4, 3), nn.Linear(4, 3)
    x = (X.view(2, 3, 4),)
    good, bad = slot(linear, Parameters(MASK)), slot(linear, Parameters(MASK, output=0), "bias")
    assert formula_for(linear, x, []) is None
    assert formula_for(linear, x, [good, bad]) is None
    assert formula_for(linear, x, [good, slot(other, Parameters(MASK))]) is None
    assert formula_for(linear, x, [good, slot(linear, Parameters(MASK), "bias")]) is not None


def test_a_parameter_whose_optimizer_steps_in_a_hook_has_none() -> None:
    linear = nn.Linear(4, 3)
    slots = [slot(linear, Parameters(MASK)), slot(linear, Parameters(MASK), "bias")]
    stepping: Callable[[Tensor], None] = lambda _: None  # noqa: E731
    linear.bias.register_post_accumulate_grad_hook(stepping)
    assert formula_for(linear, (X.view(2, 3, 4),), slots) is None
