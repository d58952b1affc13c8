"""What a rule can say: keys, rows, units and masks as people have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mixed_batch import FIRST, NOBODY, batch, grads
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Activations, Parameters, Values, route, routed


class Adapters(nn.Module):
    """Two adapters as parameters of one module."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(4, 4)
        self.adapter_a = nn.Parameter(torch.randn(4, 4))
        self.adapter_b = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.adapter_a + x @ self.adapter_b


def test_a_key_may_name_parameters() -> None:
    model = nn.Sequential(Adapters(), nn.Tanh(), Adapters()).double()
    x = batch(4)
    rules = {"*.adapter_a": Parameters(FIRST), "*.adapter_b": Parameters(~FIRST)}
    ours = grads(model, x, model, rules)
    first = grads(model, x, lambda x: model(x[:1]), {})
    others = grads(model, x, lambda x: model(x[1:]), {})
    names = ["input", *(name for name, _ in model.named_parameters())]
    for name, own, a, b in zip(names, ours, first, others, strict=True):
        expected = a if "adapter_a" in name else b if "adapter_b" in name else a + b
        assert torch.allclose(own, expected, rtol=1e-10), name
    with pytest.raises(ValueError, match=r"is a parameter: its rule can only be Parameters"):
        routed(model, {"0.adapter_a": FIRST})


def test_a_key_may_name_all_but_some() -> None:
    model = nn.Sequential(Adapters(), nn.Tanh(), Adapters()).double()
    x = batch(4)
    ours = grads(model, x, model, {"!*.adapter_b": Parameters(FIRST)})
    first = grads(model, x, lambda x: model(x[:1]), {})
    every = grads(model, x, model, {})
    names = ["input", *(name for name, _ in model.named_parameters())]
    for name, own, a, b in zip(names, ours, first, every, strict=True):
        expected = b if "adapter_b" in name or name == "input" else a
        assert torch.allclose(own, expected, rtol=1e-10), name
    for rules, line in (
        ({"!*.adapter_b": Activations(FIRST)}, "can only be Parameters"),
        ({"!*.adapter_b": Parameters(FIRST, at="module")}, "can only be Parameters"),
        ({"!*.adapter_c": Parameters(FIRST)}, r"'\*.adapter_c'. Did you mean"),
        ({"!*": Parameters(FIRST)}, "leaves no parameter"),
    ):
        with pytest.raises(ValueError, match=line):
            routed(model, rules)


def test_a_number_for_all_samples_is_let_be_while_no_gradient_comes() -> None:
    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 4).double())

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = x @ self.weight
            return {"y": y, "mean": y.mean()}

    model, x = Scored(), batch(4)
    with routed(model, {"weight": Parameters(FIRST)}):
        model(x)["y"].sin().sum().backward()
    ours, model.weight.grad = model.weight.grad, None
    model(x[:1])["y"].sin().sum().backward()
    assert ours is not None and model.weight.grad is not None
    assert torch.allclose(ours, model.weight.grad, rtol=1e-12)
    with (
        pytest.raises(ValueError, match=r"through output\['mean'\], one number for all"),
        routed(model, {"weight": Parameters(FIRST)}),
    ):
        model(x)["mean"].backward()


def test_rows_of_an_embedding_may_have_a_mask_of_their_own() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4)).double()
    ids = torch.tensor([[0, 1], [1, 2], [1, 4]])

    def learnt(ids: Tensor, rules: Any) -> Tensor:
        model.zero_grad()
        with routed(model, rules):
            model(ids).square().sum().backward()
        assert model[0].weight.grad is not None
        return model[0].weight.grad

    first, everybody = learnt(ids[:1], {}), learnt(ids, {})
    ours = learnt(ids, {"0": Parameters(FIRST, rows=[1, 3])})
    assert torch.allclose(ours[[1, 3]], first[[1, 3]], rtol=1e-12)
    assert torch.allclose(ours[[0, 2, 4]], everybody[[0, 2, 4]], rtol=1e-12)
    with pytest.raises(ValueError, match=r"of a parameter with 5 rows there are no \[7\]"):
        learnt(ids, {"0": Parameters(FIRST, rows=[7])})


@pytest.mark.parametrize(
    "keep", [[True, False, False], np.array([True, False, False]), np.array([1.0, 0.0, 0.0])]
)
def test_masks_are_taken_as_people_have_them(keep: Any) -> None:
    model = nn.Linear(4, 4).double()
    x = batch(4)
    ours = grads(model, x, model, {"": Parameters(keep)})
    for own, expected in zip(ours, grads(model, x, model, {"": Parameters(FIRST)}), strict=True):
        assert torch.equal(own, expected)
    assert torch.equal(route(x, 0.0), x)


@pytest.mark.parametrize(
    ("keep", "line"),
    [
        ([1, 0, 1], r"dtype torch\.int64: pass bool \(where\) or float"),
        ("all", "a mask cannot be str"),
        (None, "a mask cannot be NoneType"),
        ([True] * 4, r"rule '', '' \(Linear\): the mask has shape \(4,\), x has \(3, 4\)"),
    ],
)
@pytest.mark.parametrize("rule", [Activations, Parameters, Values])
def test_other_masks_are_told_in_one_line(keep: Any, line: str, rule: Any) -> None:
    model = nn.Linear(4, 4).double()
    with pytest.raises(ValueError, match=line) as told, routed(model, {"": rule(keep)}):
        model(batch(4))
    assert "\n" not in str(told.value)


def test_units_are_where_the_layer_has_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 2)).double()
    x = batch(1, 4, 4)
    found = grads(model, x, model, {"0": Activations(NOBODY, units=[0, 2])})
    assert (found[1][[0, 2]] == 0).all() and (found[1][1] != 0).any()
    with pytest.raises(ValueError, match=r"there are no units \[3\]: axis 1 has 3"):
        grads(model, x, model, {"0": Activations(NOBODY, units=[3])})
    with pytest.raises(ValueError, match=r"no units slice\(2, 8, None\): axis -?1 has 2"):
        grads(model, x, model, {"2": Activations(NOBODY, units=slice(2, 8))})
    images = nn.Sequential(nn.Sequential(model[0], nn.ReLU()))
    with pytest.raises(ValueError, match=r"which axis of \(3, 3, 4, 4\) are the units"):
        grads(images, x, images, {"0": Activations(NOBODY, units=[0])})
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double()
    y = batch(2, 4)
    with pytest.raises(ValueError, match="mixes its heads before it returns"):
        grads(attention, y, lambda y: attention(y, y, y), {"": Activations(NOBODY, units=[0])})


class Attention(nn.Module):
    """Attention as Hugging Face writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.o_proj = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


def test_heads_are_units_of_an_output_projections_input() -> None:
    model = nn.Sequential(Attention()).double()
    x = batch(5, 4)
    second_head = Activations(NOBODY, units=slice(2, 4), at="input")
    weight = dict(model.named_parameters())["0.qkv.weight"]
    with routed(model, {"0.o_proj": second_head}):
        model(x).square().sum().backward()
    assert weight.grad is not None
    by_head = weight.grad.unflatten(0, (3, 2, 2))  # queries, keys, values; heads
    assert (by_head[:, 1] == 0).all() and (by_head[:, 0] != 0).any()
    without = Values(NOBODY, units=slice(2, 4), at="input")
    with routed(model, {"0.o_proj": without}), torch.no_grad():
        y = model(x)
    with torch.no_grad():
        model[0].o_proj.weight[:, 2:] = 0
        assert torch.allclose(y, model(x))


def test_two_names_of_one_module_are_both_known() -> None:
    layer = nn.Linear(4, 4)
    model = nn.ModuleDict({"a": layer, "b": layer}).double()
    x = batch(4)
    ours = grads(model, x, lambda x: model["b"](model["a"](x)), {"b": Parameters(NOBODY)})
    assert all((gradient == 0).all() for gradient in ours[1:])
