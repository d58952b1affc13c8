"""Units that adapters add to a gated MLP: what they say, by hand, and what merging makes of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.trl.mlp import MlpAdapter, gated_mlps, mlp_sizes

pytestmark = pytest.mark.extras

WIDTH, UNITS = 3, 4


class Mlp(nn.Module):
    """A gated MLP with biases; with `sized`, as Hugging Face's, it knows how wide it is."""

    def __init__(self, *, sized: bool = True) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, UNITS)
        self.up_proj = nn.Linear(WIDTH, UNITS)
        self.down_proj = nn.Linear(UNITS, WIDTH)
        self.act_fn = nn.SiLU()
        if sized:
            self.intermediate_size = UNITS

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def x() -> Tensor:
    return torch.randn(2, 5, WIDTH, dtype=torch.float64, generator=torch.manual_seed(3))


def adapted(*names: str, units: int = 2, alpha: int = 6, **base: Any) -> Any:
    """Return an MLP with adapters that say something."""
    torch.manual_seed(0)
    layer: Any = MlpAdapter(Mlp(**base).double(), names[0], LoraConfig(), r=units, lora_alpha=alpha)
    for name in names[1:]:
        layer.update_layer(name, units, alpha, LoraConfig())
    layer.set_adapter(list(names))
    with torch.no_grad():
        for down in layer.lora_B.values():
            down.weight.normal_()
    return layer


def by_hand(layer: Any, name: str, x: Tensor) -> Tensor:
    """alpha / r = 6 / 2 times an MLP of the adapter's own."""
    own, down = layer.lora_A[name], layer.lora_B[name].weight
    gate, up = x @ own["gate_proj"].weight.t(), x @ own["up_proj"].weight.t()
    return 3.0 * (functional.silu(gate) * up) @ down.t()


def test_mlps_are_those_with_three_layers_and_an_activation() -> None:
    no_act = Mlp()
    del no_act.act_fn
    no_up = Mlp()
    del no_up.up_proj
    other = Mlp()
    other.down_proj = nn.Identity()  # type: ignore[assignment]
    fits = Mlp()
    model = nn.ModuleDict({"a": no_act, "b": no_up, "c": other, "d": nn.ModuleList([fits])})
    assert gated_mlps(model) == {"d.0": fits}
    assert mlp_sizes(model) == {UNITS}


def test_adapters_add_what_an_mlp_of_their_own_says() -> None:
    layer = adapted("one", "two")
    base = layer.base_layer(x())
    expected = base + by_hand(layer, "one", x()) + by_hand(layer, "two", x())
    torch.testing.assert_close(layer(x()), expected, atol=1e-12, rtol=1e-12)
    layer.set_adapter(["two", "of another layer"])
    alone = base + by_hand(layer, "two", x())
    torch.testing.assert_close(layer(x()), alone, atol=1e-12, rtol=1e-12)
    layer.enable_adapters(False)
    assert torch.equal(layer(x()), base)


def test_active_adapters_learn_unless_they_are_for_use_alone() -> None:
    def learning(layer: Any) -> set[str]:
        return {name.split(".")[1] for name, p in layer.named_parameters() if p.requires_grad} - {
            *("gate_proj", "up_proj", "down_proj")
        }

    layer: Any = MlpAdapter(Mlp(), "one", LoraConfig(), r=1, lora_alpha=1)
    assert learning(layer) == {"one"}
    layer.update_layer("two", 1, 1, LoraConfig())
    assert learning(layer) == {"one"}, "it is not active"
    still: Any = MlpAdapter(Mlp(), "one", LoraConfig(inference_mode=True), r=1, lora_alpha=1)
    assert learning(still) == set()


@pytest.mark.parametrize("units", [0, -1])
def test_adapters_have_units(units: int) -> None:
    with pytest.raises(ValueError, match=f"an adapter of {units} units"):
        MlpAdapter(Mlp(), "one", LoraConfig(), r=units, lora_alpha=1)


def test_adapters_are_of_the_base_s_type_unless_it_has_whole_numbers() -> None:
    half: Any = MlpAdapter(Mlp().bfloat16(), "one", LoraConfig(), r=1, lora_alpha=1)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    half.lora_A.float()  # as PEFT has adapters of half a model
    half.lora_B.float()
    assert half(x().bfloat16()).dtype == torch.bfloat16
    quantised = Mlp()
    whole = torch.zeros(UNITS, WIDTH, dtype=torch.int8)
    quantised.gate_proj.weight = nn.Parameter(whole, requires_grad=False)
    layer: Any = MlpAdapter(quantised, "one", LoraConfig(), r=1, lora_alpha=1)
    assert layer.lora_B["one"].weight.dtype == torch.float32


@pytest.mark.parametrize("sized", [True, False])
def test_merged_adapters_are_units_of_the_mlp(sized: bool) -> None:
    layer = adapted("one", "two", "three", sized=sized)
    base = layer.base_layer
    base.up_proj.weight.requires_grad_(requires_grad=False)
    layer.set_adapter(["one", "of another layer"])
    expected = layer(x())
    layer.merge()
    torch.testing.assert_close(base(x()), expected, atol=1e-12, rtol=1e-12)
    assert torch.equal(layer(x()), base(x())), "what is merged is not added again"
    assert layer.merged_adapters == ["one"]
    assert base.gate_proj.bias[UNITS:].tolist() == [0, 0]
    assert base.down_proj.bias.shape == (WIDTH,)
    assert (base.gate_proj.out_features, base.down_proj.in_features) == (UNITS + 2, UNITS + 2)
    assert getattr(base, "intermediate_size", None) == (UNITS + 2 if sized else None)
    assert not base.up_proj.weight.requires_grad and base.gate_proj.weight.requires_grad
    layer.merge(adapter_names=["three"])
    both = expected + by_hand(layer, "three", x())
    torch.testing.assert_close(base(x()), both, atol=1e-12, rtol=1e-12)
    assert mlp_sizes(nn.Sequential(base)) == {UNITS + 4}
    with pytest.raises(RuntimeError, match="merge a copy"):
        layer.unmerge()


def test_what_is_not_finite_is_merged_only_where_nobody_asks() -> None:
    layer = adapted("one")
    with torch.no_grad():
        layer.lora_B["one"].weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match="adapter 'one' is not finite"):
        layer.merge(safe_merge=True)
    assert layer.base_layer.gate_proj.out_features == UNITS
    layer.merge()
    assert layer.base_layer.down_proj.weight.isinf().any()


def test_a_plain_layer_without_biases_is_widened_too() -> None:
    layer = adapted("one")
    for part in ("gate_proj", "up_proj", "down_proj"):
        getattr(layer.base_layer, part).bias = None
    expected = layer(x())
    layer.merge(safe_merge=True)
    torch.testing.assert_close(layer.base_layer(x()), expected, atol=1e-12, rtol=1e-12)
