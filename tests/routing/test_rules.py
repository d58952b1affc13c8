from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from two_processes import eight_samples, gradients, loss_of, network, one_of_two_processes

from routed_rl.routing import Activations, Parameters, Rule, Values, routed


def longhand(model: nn.Sequential, x: Tensor, grad_mask: Tensor, kind: str) -> dict[str, Tensor]:
    """Add up what each sample alone may train: layer 2 is routed."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for sample, kept in zip(x, grad_mask, strict=True):
        model.zero_grad()
        hidden = model[1](model[0](sample[None]))
        routed_part = model[2](hidden)
        if not kept and kind == "activations":
            routed_part = routed_part.detach()
        if not kept and kind == "values":
            routed_part = 0 * routed_part.detach()
        loss_of(model[4](model[3](routed_part))).backward()
        for name, gradient in gradients(model).items():
            if not (kind == "parameters" and not kept and name.startswith("2.")):
                total[name] += gradient
    model.zero_grad()
    return total


KINDS: dict[str, type[Activations] | type[Parameters] | type[Values]] = {
    "activations": Activations,
    "parameters": Parameters,
    "values": Values,
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(2, 7), st.data())
def test_each_mechanism_is_the_sum_over_samples_taken_alone(
    kind: str, seed: int, batch: int, width: int, data: st.DataObject
) -> None:
    grad_mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=batch, max_size=batch)))
    model = network(seed, width)
    x = torch.randn(batch, 4, dtype=torch.float64)
    expected = longhand(model, x, grad_mask, kind)
    with routed(model, {"2": KINDS[kind](grad_mask)}):
        loss_of(model(x)).backward()
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, expected[name], rtol=1e-6, atol=1e-12), name
        if not grad_mask.any() and name.startswith("2."):
            assert (gradient == 0).all(), "stopped is exactly 0"


def test_parameters_of_any_module_can_be_routed_and_nothing_else_changes() -> None:
    model = network(0)
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    grad_mask = torch.tensor([True, False, True, False, False, True])
    plain = model(x)
    loss_of(plain).backward()
    everything = gradients(model)
    assert x.grad is not None
    to_x = x.grad.clone()
    model.zero_grad()
    x.grad.zero_()
    with routed(model, {"0": Parameters(grad_mask)}):
        y = model(x)
        loss_of(y).backward()
    assert torch.equal(y, plain)
    assert torch.allclose(x.grad, to_x, rtol=1e-12)
    mixed = gradients(model)
    assert torch.allclose(mixed["2.weight"], everything["2.weight"], rtol=1e-12)
    model.zero_grad()
    loss_of(model(x[grad_mask])).backward()
    for name in ("0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"):
        assert torch.allclose(mixed[name], gradients(model)[name], rtol=1e-9), name


def test_a_float_scales_what_parameters_learn_and_nothing_else() -> None:
    model = network(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    factor = torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64)
    alone = []
    for sample in x:
        model.zero_grad()
        loss_of(model(sample[None])).backward()
        alone.append(gradients(model))
    model.zero_grad()
    # The pattern finds 0, 0.0 and 0.1: what a module learns is scaled once all the same.
    with routed(model, {"0*": Parameters(factor), "2": Parameters(factor)}):
        loss_of(model(x)).backward()
    for name, gradient in gradients(model).items():
        weights = factor if name[0] in "02" else torch.ones_like(factor)
        expected = sum(weight * own[name] for weight, own in zip(weights, alone, strict=True))
        assert torch.allclose(gradient, expected, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("scale", [False, True])
def test_units_of_a_layer_can_be_routed_alone(scale: bool) -> None:
    model = network(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    grad_mask = torch.zeros(3, dtype=torch.float64) if scale else torch.zeros(3, dtype=torch.bool)
    with routed(model, {"2": Activations(grad_mask, units=slice(0, 2))}):
        loss_of(model(x)).backward()
    assert (model[2].weight.grad[:2] == 0).all()
    assert (model[2].weight.grad[2:] != 0).any()
    with routed(model, {"2": Values(grad_mask.bool(), units=slice(1, 3))}), torch.no_grad():
        output = model[2](model[1](model[0](x)))
    assert (output[:, 1:3] == 0).all()
    assert (output[:, [0, 3, 4]] != 0).all()


def test_rules_hold_for_all_that_a_pattern_finds_and_leave_nothing_behind() -> None:
    model = network(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    nobody = torch.zeros(3, dtype=torch.bool)
    rules: dict[str, Rule] = {"[24]": nobody, "0*": Parameters(nobody)}
    with pytest.raises(RuntimeError, match="stop"), routed(model, rules):
        loss_of(model(x)).backward()
        assert all((gradient == 0).all() for gradient in gradients(model).values())
        raise RuntimeError("stop")
    assert not any("forward" in vars(module) for module in model.modules())
    loss_of(model(x)).backward()
    assert all((gradient != 0).any() for gradient in gradients(model).values())


def test_tokens_can_be_routed_one_by_one() -> None:
    layer = nn.Linear(3, 2).double()
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    grad_mask = torch.rand(4, 5) > 0.5
    parameters = (layer.weight, layer.bias)
    with routed(layer, {"": Parameters(grad_mask)}):
        ours = torch.autograd.grad(layer(x).square().sum(), parameters)
    expected = torch.autograd.grad(layer(x[grad_mask]).square().sum(), parameters)
    for gradient, longhand in zip(ours, expected, strict=True):
        assert torch.allclose(gradient, longhand, rtol=1e-12)


def test_a_name_that_there_is_not_is_told() -> None:
    everybody = torch.ones(3).bool()
    with (
        pytest.raises(ValueError, match=r"'blocks'.* 0, 0.0, 0.1"),
        routed(network(0), {"blocks": everybody}),
    ):
        pass


def test_a_forward_that_somebody_replaced_is_used_and_stays() -> None:
    model = network(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    plain = model(x)

    def doubled(hidden: Tensor) -> Tensor:
        return 2 * nn.LayerNorm.forward(model[0][1], hidden)

    model[0][1].forward = doubled
    replaced = model(x)
    assert not torch.equal(replaced, plain)
    with routed(model, {"0.1": Parameters(torch.zeros(3, dtype=torch.bool))}):
        assert torch.equal(model(x), replaced)
    assert model[0][1].forward is doubled


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.filterwarnings("ignore:Using `torch.compile")
def test_autocast_checkpointing_and_compile() -> None:
    from torch.utils.checkpoint import checkpoint

    grad_mask = torch.tensor([True, False, True])
    model = network(0).float()
    x = torch.randn(3, 4)

    def mixed(through: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        model.zero_grad()
        with routed(model, {"2": Parameters(grad_mask), "0": Activations(grad_mask)}):
            loss_of(through(x)).backward()
        return gradients(model)

    plain = mixed(model)
    again = mixed(lambda x: checkpoint(model, x, use_reentrant=False))
    compiled = mixed(torch.compile(model, backend="aot_eager"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = mixed(model)
    for name, gradient in plain.items():
        assert torch.allclose(again[name], gradient), name
        assert torch.allclose(compiled[name], gradient, atol=1e-6), name
        assert torch.allclose(rough[name].float(), gradient, rtol=0.1, atol=0.1), name


@pytest.mark.slow
def test_distributed_data_parallel_averages_what_each_process_routes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_of_two_processes, (str(tmp_path),), nprocs=2)
    model = network(0)
    x, grad_mask = eight_samples()
    with routed(model, {"2": Parameters(grad_mask), "0": Activations(grad_mask)}):
        (loss_of(model(x)) / 2).backward()
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name, gradient in gradients(model).items():
        assert torch.allclose(both[0][name], gradient, rtol=1e-9), name
        assert torch.equal(both[0][name], both[1][name])


@pytest.mark.extras
def test_a_transformer_of_hugging_face_is_routed_by_name() -> None:
    import transformers

    config = transformers.GPT2Config(
        **{"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 11, "n_positions": 8},
        **{"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0},
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).double()
    tokens = torch.randint(11, (4, 8), generator=torch.Generator().manual_seed(0))
    grad_mask = torch.tensor([True, False, True, False])

    def loss(rows: Tensor) -> Tensor:
        return functional.cross_entropy(
            model(tokens[rows]).logits.flatten(0, 1), tokens[rows].flatten(), reduction="sum"
        )

    everyone = torch.arange(4)
    for rule in (Parameters(grad_mask), Activations(grad_mask)):
        model.zero_grad()
        with routed(model, {"transformer.h.*.mlp": rule}):
            loss(everyone).backward()
        ours = gradients(model)
        model.zero_grad()
        loss(everyone[grad_mask]).backward()
        kept = gradients(model)
        for name in ours:
            if "mlp" in name and isinstance(rule, Parameters):
                assert torch.allclose(ours[name], kept[name], rtol=1e-6, atol=1e-10), name
        if isinstance(rule, Activations):
            last = "transformer.h.1.mlp.c_fc.weight"
            assert torch.allclose(ours[last], kept[last])
        assert not torch.allclose(ours["transformer.wte.weight"], kept["transformer.wte.weight"])
