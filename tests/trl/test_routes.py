"""What adapters learn of a masked batch, against autograd and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_language import llama, stir, texts
from torch import Tensor
from torch.nn import functional

from routed_rl.trl import quarantine
from routed_rl.trl.adapters import QUARANTINE, RETAIN, activate, region_of
from routed_rl.trl.routes import AdapterRoutes, Masked, _Lora

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

SCALING = 1.5


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(dtype).requires_grad_()


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([True, False, True]).view(3, 1, 1),
        torch.tensor([0.5, 0.0, -1.0]).view(3, 1, 1),
        torch.tensor([[True, False], [False, False], [True, True]])[..., None],
    ],
)
def test_a_low_rank_layer_learns_from_masked_samples_and_hands_all_gradient_on(
    mask: Tensor,
) -> None:
    x, down, up = drawn(3, 2, 4, seed=0), drawn(2, 4, seed=1), drawn(5, 2, seed=2)
    twins = [weight.detach().requires_grad_() for weight in (down, up)]
    weights = drawn(3, 2, 5, seed=3).detach()

    def plain(x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        return SCALING * functional.linear(functional.linear(x, down), up)

    said = _Lora.apply(x, down, up, SCALING, mask, *twins)
    torch.testing.assert_close(said, plain(x, down, up))
    found = torch.autograd.grad((said * weights).sum(), [x, down, up, *twins])
    whole = torch.autograd.grad((plain(x, down, up) * weights).sum(), [x, down, up])
    taught = torch.autograd.grad((plain(x, down, up) * weights * mask).sum(), [down, up])
    for own, expected in zip(found, (whole[0], *taught, *whole[1:]), strict=True):
        torch.testing.assert_close(own, expected)


def test_who_needs_no_gradient_gets_none() -> None:
    x, down, up = drawn(3, 4, seed=0), drawn(2, 4, seed=1), drawn(5, 2, seed=2)
    mask = torch.tensor([[True], [False], [True]])
    said = _Lora.apply(x.detach(), down, up.detach(), SCALING, mask, None, None)
    said.sum().backward()
    assert x.grad is None
    assert up.grad is None
    assert down.grad is not None
    assert said.shape == (3, 5)
    _Lora.apply(x, down.detach(), up, SCALING, mask, None, None).sum().backward()
    assert x.grad is not None
    assert up.grad is not None


def test_it_computes_in_the_dtype_of_its_factors_and_hands_on_in_that_of_its_input() -> None:
    x = drawn(3, 4, seed=0, dtype=torch.bfloat16)
    down, up = drawn(2, 4, seed=1, dtype=torch.float32), drawn(5, 2, seed=2, dtype=torch.float32)
    mask = torch.tensor([[True], [False], [True]])
    said = _Lora.apply(x, down, up, SCALING, mask, None, None)
    assert said.dtype == torch.float32
    said.sum().backward()
    assert x.grad is not None and down.grad is not None
    assert (x.grad.dtype, down.grad.dtype) == (torch.bfloat16, torch.float32)
    twins = [weight.detach().requires_grad_() for weight in (down, up)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = _Lora.apply(x, down, up, SCALING, mask.float(), *twins)
    assert said.dtype == torch.bfloat16
    assert {kept.dtype for kept in said.grad_fn.saved_tensors[:4]} == {torch.bfloat16}
    said.sum().backward()
    assert {weight.grad.dtype for weight in (down, up, *twins)} == {torch.float32}


def made(**settings: Any) -> Any:
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj"])
    model = quarantine(llama(dtype=torch.float64), config, **settings)
    stir(model)
    return model


@pytest.mark.parametrize("shape", [(4, 7, 16), (16,), (5,)])
def test_what_is_given_no_row_for_each_sample_is_told(shape: tuple[int, ...]) -> None:
    model = made()
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    masked = Masked({}, {id(layer): "the layer"})
    masked.mask = torch.ones(5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"the layer is given .* for flags \(5,\)"):
        masked.forward(layer, RETAIN, torch.zeros(shape, dtype=torch.float64), torch.zeros(1))


IDS = texts(3)
SOME = torch.tensor([True, False, True])


def gradients(model: Any, routes: AdapterRoutes, masks: dict[str, Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    with routes.routed(masks):
        loss_of(model, IDS).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def loss_of(model: Any, ids: Tensor) -> Tensor:
    return model(ids).logits.sin().sum()


@pytest.mark.parametrize("settings", [{}, {"mlp_units": 3}, {"train_base": True}])
def test_each_adapter_learns_by_its_mask_and_a_trained_base_with_the_retain(
    settings: dict[str, Any],
) -> None:
    each_learns_by_its_mask(made(**settings))


@pytest.mark.parametrize(
    ("retain", "quarantined"),
    [
        ({"use_dora": True}, {"use_dora": True}),
        ({"lora_bias": True}, {"lora_bias": True}),
        ({}, {"target_modules": ["q_proj"]}),
    ],
)
def test_so_it_is_with_adapters_that_others_made(
    retain: dict[str, Any], quarantined: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"r": 2, "target_modules": ["q_proj", "v_proj"]}
    model = get_peft_model(llama(dtype=torch.float64), LoraConfig(**usual | retain), RETAIN)
    assert isinstance(model, PeftModel)
    model.add_adapter(QUARANTINE, LoraConfig(**usual | quarantined))
    activate(model)
    stir(model.double())
    each_learns_by_its_mask(model)


def each_learns_by_its_mask(model: Any) -> None:
    before = variants_of(model)
    routes = AdapterRoutes(model)
    whole = gradients(model, routes, {})
    some = {}
    model.zero_grad()
    loss_of(model, IDS[SOME]).backward()
    some = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    for region in (RETAIN, QUARANTINE):
        found = gradients(model, routes, {region: SOME})
        assert found.keys() == whole.keys()
        for name, gradient in found.items():
            of = region_of(name)
            masked = of == region or (of == "base" and region == RETAIN)
            torch.testing.assert_close(gradient, some[name] if masked else whole[name], msg=name)
    assert variants_of(model) == before, "nothing is left behind"


def variants_of(model: Any) -> list[list[str]]:
    return [list(m.lora_variant) for m in model.modules() if hasattr(m, "lora_variant")]


@pytest.mark.parametrize("settings", [{}, {"mlp_units": 3}])
def test_gradients_without_routes_are_kept_until_they_are_forgotten(
    settings: dict[str, Any],
) -> None:
    model = made(**settings)
    plain = AdapterRoutes(model)
    whole = gradients(model, plain, {})
    assert plain.unrouted == {}
    routes = AdapterRoutes(model, keeps_unrouted=True)
    masks = {RETAIN: SOME, QUARANTINE: ~SOME}
    taught = gradients(model, plain, masks)
    for times in (1, 2):
        for name, gradient in gradients(model, routes, masks).items():
            torch.testing.assert_close(gradient, taught[name], msg=name)
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert routes.unrouted.keys() == {id(p) for p in named.values()}
        for name, parameter in named.items():
            torch.testing.assert_close(routes.unrouted[id(parameter)], times * whole[name])
    assert plain.unrouted == {}
    routes.forget_unrouted()
    assert routes.unrouted == {}
    with routes.routed(masks):
        pass
    assert routes.unrouted == {}, "no backward pass, no gradient"


def test_what_raises_inside_leaves_nothing_behind() -> None:
    model = made()
    with pytest.raises(KeyError), AdapterRoutes(model).routed({RETAIN: SOME}):
        raise KeyError
    assert not any(variants_of(model))
