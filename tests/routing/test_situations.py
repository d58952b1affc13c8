"""Models as people build and call them: what public reports of faults describe."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Activations, Parameters, UnusedRuleError, Values, route, routed

EVERYBODY = torch.ones(3, dtype=torch.bool)
NOBODY = ~EVERYBODY
FIRST = torch.tensor([True, False, False])


def batch(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)


def grads(model: nn.Module, x: Tensor, call: Callable[[Tensor], Any], rules: Any) -> list[Tensor]:
    """Return the gradients of a sum of squares: of the input first, then of the parameters."""
    with routed(model, rules):
        y = call(x)
        loss = sum(part.square().sum() for part in (y if isinstance(y, tuple) else (y,)))
        parameters = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, [x, *parameters], allow_unused=True)
    tensors = [x, *parameters]
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)]


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


def test_copies_and_pickles_made_inside_a_block_are_plain() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4, batch_first=True)).double()
    x = batch(5, 4)
    plain = grads(model, x, lambda x: model(x)[0], {})
    with routed(model, {"0": Parameters(NOBODY), "1": NOBODY}):
        model(x)
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        assert list(model.state_dict()) == list(copies[0].state_dict())
        found = []
        for other in copies:
            found.append(torch.autograd.grad(other(x)[0].square().sum(), list(other.parameters())))
    for gradients in found:
        for own, expected in zip(gradients, plain[1:], strict=True):
            assert torch.allclose(own, expected)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_behind_after_an_error_inside_a_forward(error: type[BaseException]) -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            self.layer(x)
            raise error

    model = nn.Sequential(Fails(), nn.Linear(4, 4)).double()
    before = {name: id(p) for name, p in model.named_parameters()}
    with pytest.raises(error), routed(model, {"*": Parameters(NOBODY)}):
        model(batch(5, 4))
    assert {name: id(p) for name, p in model.named_parameters()} == before
    assert all(isinstance(p, nn.Parameter) for p in model[0].layer._flat_weights)
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_nothing_stays_behind_after_a_fork() -> None:
    model = nn.Linear(4, 4).double()
    block = routed(model, {"": Parameters(NOBODY)})
    with block:
        model(batch(4))
        child = os.fork()
        if child == 0:
            block.__exit__(None)
            os._exit(len(nn.modules.module._global_forward_hooks))
        model(batch(4)).sum().backward()
    assert os.waitpid(child, 0)[1] == 0
    assert model.weight.grad is not None and (model.weight.grad == 0).all()


class Teaches(nn.Module):
    """Calls itself without gradient on the way, as self-distillation does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor, *, once: bool = False) -> Tensor:
        if once:
            return x @ self.weight
        with torch.no_grad():
            target = self(x, once=True)
        return x @ self.weight - target


def test_a_module_may_call_itself_without_gradient() -> None:
    model = nn.Sequential(Teaches()).double()
    x = batch(4)

    def call(x: Tensor) -> Tensor:
        return model(x) + 1

    ours = grads(model, x, call, {"0": Parameters(FIRST)})
    alone = grads(model, x, lambda x: call(x[:1]), {})
    assert torch.allclose(ours[1], alone[1], rtol=1e-12)


def test_blocks_in_one_another_add_their_rules() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    x = batch(4)
    second = torch.tensor([True, True, False])
    both = grads(model, x, model, {"0": Parameters(FIRST & second), "1": Activations(second)})
    with routed(model, {"0": Parameters(FIRST), "1": Activations(second)}):
        nested = grads(model, x, model, {"0": Parameters(second)})
    for ours, expected in zip(nested, both, strict=True):
        assert torch.equal(ours, expected)


def test_threads_route_one_model_each_by_its_own_mask() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.RMSNorm(4), nn.Linear(4, 4)).double()
    x = batch(4)
    masks = [FIRST, ~FIRST, EVERYBODY, NOBODY]
    alone = [grads(model, x, model, {"*": Parameters(mask)}) for mask in masks]
    wrong: list[int] = []

    parameters = list(model.parameters())

    def work(index: int) -> None:
        own = x.detach().clone().requires_grad_()
        for _ in range(40):
            with routed(model, {"*": Parameters(masks[index])}):
                found = torch.autograd.grad(model(own).square().sum(), [own, *parameters])
            if not all(torch.equal(a, b) for a, b in zip(found, alone[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_second_derivatives_through_parameters_are_refused() -> None:
    model = nn.Linear(4, 4).double()
    x = batch(4)
    with routed(model, {"": Parameters(FIRST)}):
        y = model(x).square().sum()
        with pytest.raises(RuntimeError, match="there are first derivatives only"):
            torch.autograd.grad(y, x, create_graph=True)
    with routed(model, {"": Activations(FIRST)}):
        (to_x,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    to_x.square().sum().backward()
    assert x.grad is not None and (x.grad[1:] == 0).all()
