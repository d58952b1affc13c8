"""Models as people build and call them: what public reports of faults describe."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mixed_batch import EVERYBODY, FIRST, NOBODY, batch, grads
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Activations, Parameters, UnusedRuleError, Values, routed

CALLS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, Tensor], Any]]] = {
    "linear": (lambda: nn.Linear(4, 4), lambda m, x: m(input=x)),
    "layer norm": (lambda: nn.LayerNorm(4), lambda m, x: m(input=x)),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        lambda m, x: m(query=x, key=x, value=x),
    ),
    "lstm cell": (lambda: nn.LSTMCell(4, 4), lambda m, x: m(x[:, 0], (x[:, 1], x[:, 2]))),
}


@pytest.mark.parametrize("name", CALLS)
def test_keeping_everything_changes_nothing_whatever_the_call_looks_like(name: str) -> None:
    make, call = CALLS[name]
    torch.manual_seed(0)
    model = make().double()
    x = batch(3, 4)
    plain = grads(model, x, lambda x: call(model, x), {})
    for keep in (EVERYBODY, EVERYBODY.double(), True, 1.0):
        kept = grads(model, x, lambda x: call(model, x), {"": Parameters(keep)})
        for ours, theirs in zip(kept, plain, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-15)
    stopped = grads(model, x, lambda x: call(model, x), {"": Parameters(NOBODY)})
    assert torch.allclose(stopped[0], plain[0], rtol=1e-12)
    assert all((gradient == 0).all() for gradient in stopped[1:])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("rule", [Activations, Parameters])
def test_a_recurrent_layer_is_governed_by_its_state_too(kind: Any, rule: Any) -> None:
    model = kind(4, 4, batch_first=True).double()
    x = batch(5, 4)

    def state(x: Tensor) -> Tensor:
        _, h = model(x)
        return h[0] if isinstance(h, tuple) else h

    alone = grads(model, x, lambda x: state(x[:1]), {})
    for ours, theirs in zip(grads(model, x, state, {"": rule(FIRST)})[1:], alone[1:], strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12)
    named = grads(model, x, state, {"": rule(FIRST, output=0)})
    everybody = grads(model, x, state, {})
    for ours, theirs in zip(named, everybody, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12), "output 0 alone, and it is not used"


def test_types_of_outputs_are_kept_and_a_missing_one_is_told() -> None:
    model = nn.LSTM(4, 4, batch_first=True).double()
    with routed(model, {"": Activations(FIRST)}):
        y, (h, c) = model(batch(5, 4))
    assert isinstance(y, Tensor) and h.shape == c.shape == (1, 3, 4)
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = batch(5, 4)
    with (
        pytest.raises(ValueError, match=r"rule '', '' \(MultiheadAttention\): its output has no 2"),
        routed(attention, {"": Activations(FIRST, output=2)}),
    ):
        attention(x, x, x)


class Opaque(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Any:
        return {"y": self.inner(x), "cache": threading.Lock()}


def test_what_cannot_be_seen_into_is_told_in_one_line_with_the_remedy() -> None:
    model = nn.Sequential(Opaque()).double()
    x = batch(4)
    with (
        pytest.raises(ValueError, match=r"'0' \(Opaque\).*lock at output\['cache'\].*output="),
        routed(model, {"0": Activations(FIRST)}),
    ):
        model(x)
    with routed(model, {"0": Activations(FIRST, output="y")}):
        y = model(x)["y"]
    (to_x,) = torch.autograd.grad(y.sum(), x)
    assert (to_x[1:] == 0).all() and (to_x[0] != 0).any()


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of RMSNorm's own
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mask", [FIRST, FIRST.float() / 2])
@pytest.mark.parametrize("rule", [Activations, Parameters, Values])
def test_reduced_precision_with_backward_outside_autocast(
    dtype: torch.dtype, mask: Tensor, rule: Any
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.RMSNorm(4))
    x = torch.randn(3, 4)
    rules = {"0": rule(mask), "1": rule(mask), "3": rule(mask)}
    with routed(model, rules):
        with torch.autocast("cpu", dtype=dtype):
            y = model(x)
        y.float().square().sum().backward()
    rough = [p.grad for p in model.parameters()]
    model.zero_grad()
    with routed(model, rules):
        model(x).square().sum().backward()
    for ours, p in zip(rough, model.parameters(), strict=True):
        assert ours is not None and p.grad is not None
        assert torch.allclose(ours, p.grad, rtol=0.1, atol=0.1)
    low = copy.deepcopy(model).to(dtype)
    with routed(low, rules):
        low(x.to(dtype)).float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in low.parameters())


@pytest.mark.parametrize(
    "rule", [Activations(FIRST), Activations([0.5, 0.0, 1.0]), Parameters(FIRST)]
)
def test_what_follows_may_work_in_place(rule: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(inplace=True))
    model = nn.Sequential(*model, nn.Dropout(0.0, inplace=True)).double()
    x = batch(4)

    def call(x: Tensor) -> Tensor:
        y = model[2](model[1](model[0](x)))
        y += x
        return model[4](model[3](y))

    def plain(x: Tensor) -> Tensor:
        return functional.relu(model[2](model[1](model[0](x))) + x)

    for ours, theirs in zip(
        grads(model, x, call, {"2": rule}), grads(model, x, plain, {"2": rule}), strict=True
    ):
        assert torch.equal(ours, theirs)


class Head(nn.Module):
    """A table used as a head too, and a layer whose parameters a function uses."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.layer = nn.Linear(4, 4)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = functional.linear(self.table(ids), self.layer.weight, self.layer.bias)
        return functional.linear(hidden, self.table.weight)


def test_parameters_are_governed_wherever_they_are_used() -> None:
    torch.manual_seed(0)
    model = Head().double()
    ids = torch.tensor([[0, 1], [2, 3], [4, 0]])

    def learnt(ids: Tensor, rules: Any) -> list[Tensor]:
        model.zero_grad()
        with routed(model, rules):
            model(ids).square().sum().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    alone = learnt(ids[:1], {})
    ours = learnt(ids, {"table": Parameters(FIRST), "layer": Parameters(FIRST)})
    for own, expected in zip(ours, alone, strict=True):
        assert torch.allclose(own, expected, rtol=1e-12)


def test_a_rule_that_governs_nothing_is_an_error_when_the_block_ends() -> None:
    model = Head().double()
    ids = torch.tensor([[0, 1], [2, 3], [4, 0]])
    with (
        pytest.raises(UnusedRuleError, match=r"rule 'layer' governed nothing: its module was not"),
        routed(model, {"layer": Activations(FIRST)}),
    ):
        model(ids)
    with routed(model, {"layer": Activations(FIRST)}, allow_unused=True):
        model(ids)
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = batch(2, 4)
    with (
        pytest.raises(UnusedRuleError, match="out_proj"),
        routed(attention, {"out_proj": Activations(FIRST)}),
    ):
        attention(x, x, x)
    block = routed(attention, {"out_proj": Parameters(NOBODY)})
    with block:
        attention(x, x, x)[0].sum().backward()
    assert block.governed == {"out_proj": 2}
    assert attention.out_proj.weight.grad is not None
    assert (attention.out_proj.weight.grad == 0).all()
    model.requires_grad_(requires_grad=False)
    with (
        pytest.raises(UnusedRuleError, match="none of its parameters requires a gradient"),
        routed(model, {"layer": Parameters(FIRST)}),
    ):
        model(ids)
    with (
        pytest.raises(UnusedRuleError, match="Run the model inside the block"),
        routed(attention, {"out_proj": Parameters(FIRST)}),
    ):
        pass


class Counting(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layer = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(self.norm(x)) * self.scale


def test_counts_and_hooks_are_those_of_one_forward_pass() -> None:
    model = Counting().double()
    fired: list[str] = []
    model.layer.register_forward_hook(lambda *_: fired.append("forward"))
    model.layer.register_full_backward_hook(lambda *_: fired.append("backward"))
    twin = copy.deepcopy(model)
    x = batch(4)
    with routed(model, {"": Parameters(FIRST)}):
        model(x).square().sum().backward()
    assert fired == ["forward", "backward"]
    twin(x)
    for name, value in twin.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
