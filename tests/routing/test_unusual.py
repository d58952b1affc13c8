"""Unusual things that people do inside a block, each once silently wrong or a crash."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from routed_rl.routing import Activations, Parameters, UnusedRuleError, Values, route, routed

N = 4
EVEN = torch.arange(N) % 2 == 0
NOBODY = torch.zeros(N, dtype=torch.bool)


def batch(*shape: int) -> Tensor:
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(0)).double()


def learnt(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.RMSNorm(6), nn.Linear(6, 6)).double()


def test_parameters_that_somebody_swaps_are_used_and_not_governed() -> None:
    model = layers()
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    with routed(model, {"*": Parameters(EVEN)}, allow_unused=True):
        assert (torch.func.functional_call(model, zeros, (batch(6),)) == 0).all()
    with pytest.raises(UnusedRuleError), routed(model, {"*": Parameters(EVEN)}):
        torch.func.functional_call(model, zeros, (batch(6),))
    with routed(model, {"*": Parameters(EVEN)}):
        model(batch(6))
        model.load_state_dict(zeros, assign=True)
        assert (model(batch(6)) == 0).all()
    assert model[0].weight is not zeros["0.weight"] and (model[0].weight == 0).all()


class MaxNorm(nn.Linear):
    """Sets its weight in its forward."""

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.1)
        return super().forward(x)


def test_what_a_forward_does_to_its_parameters_is_kept() -> None:
    layer = MaxNorm(6, 6).double()
    with routed(layer, {"": Parameters(EVEN)}):
        layer(batch(6)).sum().backward()
    assert torch.allclose(layer.weight.norm(dim=1), torch.full((6,), 0.1).double())
    table = nn.Embedding(5, 6, max_norm=1.0)
    with routed(table, {"": Parameters(EVEN)}):
        table(torch.arange(N)[:, None].expand(N, 3)).sum().backward()
    assert (table.weight[:N].norm(dim=1) <= 1 + 1e-6).all()
    assert (learnt(table.weight)[1::2] == 0).all() and (learnt(table.weight)[0] != 0).all()


class TwoNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Parameter(torch.randn(6, 6))
        self.decode = self.encode

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.encode).tanh() @ self.decode.t()


def test_two_names_of_one_parameter_are_both_known() -> None:
    model = TwoNames().double()
    with routed(model, {"": Parameters(NOBODY)}):
        model(batch(6)).sum().backward()
    assert (learnt(model.encode) == 0).all()


def test_freezing_and_unfreezing_inside_a_block() -> None:
    model = layers()
    model[0].requires_grad_(requires_grad=False)
    with routed(model, {"*": Parameters(NOBODY)}):
        model[0].requires_grad_(requires_grad=True)
        model(batch(6)).square().sum().backward()
        assert (learnt(model[0].weight) == 0).all()
        model.requires_grad_(requires_grad=False)
        model(batch(6))


def test_values_hold_where_torch_would_take_its_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 1).double().eval()
    x = batch(3, 6)
    torch.backends.mha.set_fastpath_enabled(value=True)
    with routed(model, {"layers.0.linear2": Values(NOBODY)}), routed(model, {}):
        expected = model(x)
        with torch.no_grad():
            assert torch.allclose(model(x), expected)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("batch_first", [False, True])
def test_inputs_of_attention_have_one_axis_and_keywords_are_told(batch_first: bool) -> None:
    attention = nn.MultiheadAttention(6, 2, batch_first=batch_first).double()
    given = [torch.randn(N, N, 6).double().requires_grad_() for _ in range(3)]
    with routed(attention, {"": Activations(EVEN, at="input")}):
        attention(*given)[0].square().sum().backward()
    for x in given:
        by_sample = learnt(x) if batch_first else learnt(x).transpose(0, 1)
        assert by_sample.flatten(1).any(dim=1).tolist() == EVEN.tolist()
    query, key, value = given
    with (
        pytest.raises(ValueError, match=r"does not see arguments by keyword \(key, value\)"),
        routed(attention, {"": Activations(EVEN, at="input")}),
    ):
        attention(query, key=key, value=value)


def test_a_batch_second_encoder_is_told_apart_as_a_whole() -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0)
    layer.linear1 = nn.Sequential(nn.Linear(6, 8))  # type: ignore[assignment]
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).double()
    x = batch(N, 6)  # as many steps as samples
    with routed(model, {"": Parameters(EVEN)}):
        (model(x) @ torch.arange(6.0).double()).square().sum().backward()
    weight = dict(model.named_parameters())["layers.0.linear1.0.weight"]
    ours = learnt(weight).clone()
    model.zero_grad()
    (model(x[:, EVEN]) @ torch.arange(6.0).double()).square().sum().backward()
    assert torch.allclose(ours, learnt(weight), rtol=1e-10)


class Experts(nn.Module):
    """Happens to give a layer as many rows as there are samples."""

    def __init__(self) -> None:
        super().__init__()
        self.expert = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        return torch.cat([self.expert(rows[:N]), rows[N:]]).view_as(x)


def test_a_key_may_say_where_samples_are_told_apart() -> None:
    model = nn.Sequential(Experts()).double()
    x = batch(3, 6)
    with routed(model, {"0": Parameters(EVEN, at="module")}):
        model(x).square().sum().backward()
    ours = learnt(model[0].expert.weight).clone()
    model.zero_grad()
    model(x)[EVEN].square().sum().backward()
    assert torch.allclose(ours, learnt(model[0].expert.weight), rtol=1e-10)
    with pytest.raises(ValueError, match="need a module's name"):
        routed(model, {"*.weight": Parameters(EVEN, at="module")})


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(6, 6, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, (state, _) = self.memory(x)
        return state[0], y


def test_an_output_is_that_of_the_module_that_the_key_names() -> None:
    model = TwoOutputs().double()
    for meant in (0, 1):
        model.zero_grad()
        with routed(model, {"": Parameters(NOBODY, output=meant)}):
            model(batch(3, 6))[1].sum().backward()
        assert bool((learnt(model.memory.weight_ih_l0) == 0).all()) == (meant == 1)
    with (
        pytest.raises(ValueError, match=r"rule '', '' \(TwoOutputs\): its output has no 'typo'"),
        routed(model, {"": Parameters(NOBODY, output="typo")}),
    ):
        model(batch(3, 6))


class Turns(nn.Module):
    """Returns complex numbers beside real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.weight, torch.fft.fft(x * self.weight)


@pytest.mark.parametrize("rule", [Activations, Parameters])
def test_complex_numbers_are_numbers(rule: Any) -> None:
    model = Turns().double()
    x = batch(6)
    with routed(model, {"": rule(EVEN)}):
        sum(y.abs().square().sum() for y in model(x)).backward()  # type: ignore[union-attr]
    ours = learnt(model.weight).clone()
    model.zero_grad()
    sum(y.abs().square().sum() for y in model(x[EVEN])).backward()  # type: ignore[union-attr]
    assert torch.allclose(ours, learnt(model.weight), rtol=1e-10)


class InPlace(nn.Module):
    """Changes what it is given, and returns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> None:
        x.mul_(self.weight)


def test_a_module_that_returns_nothing_teaches_by_the_one_around() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = InPlace()

        def forward(self, x: Tensor) -> Tensor:
            x = x.clone()
            self.inner(x)
            return x

    model = Around().double()
    x = batch(6)
    with routed(model, {"inner": Parameters(EVEN)}):
        model(x).square().sum().backward()
    assert torch.allclose(learnt(model.inner.weight), 2 * x[EVEN].square().sum(dim=0))


class Recomputes(nn.Module):
    """Recomputes a method of its own."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.ones(6))
        self.positions = nn.Embedding(3, 6)
        self.reentrant = reentrant

    def inner(self, x: Tensor) -> Tensor:
        x = x if self.reentrant else x + self.positions(torch.arange(x.shape[1]))
        return self.layer(x) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=self.reentrant)  # type: ignore[no-any-return]


def test_a_method_that_is_computed_again() -> None:
    model = Recomputes(reentrant=False).double()
    x = batch(3, 6).requires_grad_()
    with routed(model, {"": Parameters(EVEN)}):
        model(x).square().sum().backward()
    ours = learnt(model.scale).clone()
    model.zero_grad()
    model(x[EVEN]).square().sum().backward()
    assert torch.allclose(ours, learnt(model.scale), rtol=1e-10)
    model = Recomputes(reentrant=True).double()
    with routed(model, {"": Parameters(EVEN)}, allow_unused=True):
        loss = model(x).square().sum()
        with pytest.raises(ValueError, match="say use_reentrant=False"):
            loss.backward()


def test_an_optimizer_may_step_in_the_backward_pass() -> None:
    model = layers()
    twin = copy.deepcopy(model)
    for one in (model, twin):
        for parameter in one.parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda p: (p.data.add_(p.grad, alpha=-0.1), None)[1]
            )
    twin(batch(6)).square().sum().backward()
    with routed(model, {"*": Parameters(True)}):
        model(batch(6)).square().sum().backward()
    for ours, expected in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, expected, rtol=1e-12)


def test_two_backward_passes_at_once() -> None:
    model = nn.Sequential(*(nn.RMSNorm(6) for _ in range(4))).double()
    parameters = list(model.parameters())
    missing: list[int] = []
    with routed(model, {"*": Parameters(EVEN)}):
        losses = [[model(batch(6)).square().sum() for _ in range(25)] for _ in range(2)]

        def work(own: list[Tensor]) -> None:
            for loss in own:
                found = torch.autograd.grad(loss, parameters, allow_unused=True)
                missing.extend(index for index, g in enumerate(found) if g is None)

        threads = [threading.Thread(target=work, args=(own,)) for own in losses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not missing


def test_a_class_that_somebody_patched_has_no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(6, 6).double()
    doubled = lambda self, x: functional.linear(2 * x, self.weight, self.bias)  # noqa: E731
    monkeypatch.setattr(nn.Linear, "forward", doubled)
    layer(batch(6)).sum().backward()
    plain = learnt(layer.weight).clone()
    layer.zero_grad()
    with routed(layer, {"": Parameters(True)}):
        layer(batch(6)).sum().backward()
    assert torch.allclose(learnt(layer.weight), plain)


def test_what_cannot_be_done_is_told_in_one_line() -> None:
    with pytest.raises(ValueError, match="run lazy modules once before the block"):
        routed(nn.LazyLinear(6), {"": Parameters(EVEN)}).__enter__()
    with pytest.raises(ValueError, match=r"the mask requires a gradient.*mask\.detach"):
        route(batch(6), torch.ones(N, requires_grad=True))
    layer = nn.Linear(6, 6).double()
    for units, axis, line in ((9, None, "no units 9"), (0, 4, "no axis 4")):
        with (
            pytest.raises(ValueError, match=line),
            routed(layer, {"": Activations(EVEN, units=units, axis=axis)}),
        ):
            layer(batch(6))


@pytest.mark.parametrize("rows", [2, [2], torch.tensor([2]), torch.arange(6) == 2, slice(2, 3)])
def test_rows_and_units_are_taken_as_people_have_them(rows: Any) -> None:
    layer = nn.Linear(6, 6).double()
    found = []
    for rule in (Parameters(NOBODY, rows=rows), Activations(NOBODY, units=rows)):
        layer.zero_grad()
        with routed(layer, {"": rule}):
            layer(batch(6)).square().sum().backward()
        found.append((learnt(layer.weight) == 0).all(dim=1).tolist())
    assert found == [[index == 2 for index in range(6)]] * 2
