"""Where a rule's mask comes to lie in what a module returns, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from routed_rl.routing.outputs import Place
from routed_rl.routing.rules import Activations, Parameters, Values, as_rule

YES_NO = torch.tensor([True, False])
WHOLE = Place("")


def placed(x: Tensor, module: nn.Module, place: Place = WHOLE, **settings: Any) -> Tensor:
    return Activations(YES_NO, **settings).placed(YES_NO, module, x, place)


@pytest.mark.parametrize("kind", [Activations, Parameters])
def test_samples_are_on_the_axis_that_the_rule_or_the_layer_says(kind: Any) -> None:
    x = torch.zeros(2, 2, 4)
    for module, settings, shape in (
        (nn.Identity(), {}, (2, 1, 1)),
        (nn.Identity(), {"batch_axis": 1}, (1, 2, 1)),
        (nn.LSTM(4, 4), {}, (1, 2, 1)),
        (nn.LSTM(4, 4), {"batch_axis": 0}, (2, 1, 1)),
    ):
        rule = kind(YES_NO, **settings)
        args = (module, x, Place("[0]"))
        found = rule.placed(*args) if kind is Parameters else rule.placed(YES_NO, *args)
        assert found.shape == shape


def test_the_rows_of_a_packed_sequence_have_what_their_samples_have() -> None:
    # Samples of one step and of three: sorted, the rows are of samples 1, 0; 1; 1.
    packed = pack_sequence([torch.zeros(1, 5), torch.zeros(3, 5)], enforce_sorted=False)
    found = placed(packed.data, nn.LSTM(5, 5), Place("[0]", packed))
    assert found.tolist() == [[False], [True], [False], [False]]


def test_what_does_not_fit_is_told_with_its_place_and_what_to_do() -> None:
    wrong = "the mask has shape (2,), x has (3, 4): match x's leading axes."
    other = " If that is not meant, name what is, as in output=0."
    for place, settings, text in (
        (WHOLE, {}, wrong),
        (Place("[0]"), {}, f"at output[0] {wrong}{other}"),
        (Place("[1]"), {"at": "input"}, f"at input[1] {wrong}{other}"),
    ):
        with pytest.raises(ValueError) as told:
            placed(torch.zeros(3, 4), nn.Identity(), place, **settings)
        assert str(told.value) == text


@pytest.mark.parametrize("rule", [Activations([True]), Values([True]), Parameters([True]), [True]])
def test_a_rule_in_use_has_a_tensor(rule: Any) -> None:
    used = as_rule(rule)
    mask = used.mask if isinstance(used, Values) else used.grad_mask
    assert isinstance(mask, Tensor)
    assert type(used) is (type(rule) if rule != [True] else Activations)


@pytest.mark.parametrize(
    ("module", "shape", "axis"),
    [
        (nn.Conv1d(2, 3, 1), (2, 3, 4), 1),
        (nn.GroupNorm(1, 3), (2, 3), 1),
        (nn.Identity(), (2, 3), 1),
        (nn.Identity(), (2, 4, 3), 2),
        (nn.Linear(1, 3), (2, 4, 4, 3), 3),
        (nn.Embedding(9, 3), (2, 4, 4, 3), 3),
        (nn.LayerNorm(3), (2, 4, 4, 3), 3),
        (nn.Sequential(nn.Linear(1, 3), nn.ReLU()), (2, 4, 3), 2),
    ],
)
def test_units_are_features_of_the_last_axis_or_channels(
    module: nn.Module, shape: tuple[int, ...], axis: int
) -> None:
    x = torch.zeros(shape)
    found = placed(x, module, units=[1])
    stopped = torch.zeros(shape, dtype=torch.bool)
    stopped.select(axis, 1)[1] = True
    assert torch.equal(found.expand(shape), ~stopped)


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (nn.Identity(), (2,), r"no units in a tensor of shape \(2,\)"),
        (nn.Identity(), (2, 4, 4, 3), "which axis of"),
        (nn.Sequential(nn.Conv1d(1, 3, 1), nn.ReLU()), (2, 3), "which axis of"),
        (nn.MultiheadAttention(4, 2, batch_first=True), (2, 3, 4), "attention mixes its heads"),
    ],
)
def test_units_whose_axis_cannot_be_known_are_asked_for(
    module: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        placed(torch.zeros(shape), module, units=[1])
    assert placed(torch.zeros(2, 3), module, units=[1], axis=-1).tolist() == [
        [True, True, True],
        [True, False, True],
    ]
