"""Routing of models at random, against each sample taken alone."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import layer_zoo
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from routed_rl.routing import Activations, Parameters, Rule, UnusedRuleError, Values, routed

# Where a rule stops all gradient, a hook of the zoo finds none to the module's input.
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook is firing")

NOT_BY_SAMPLE = ("linear, tokens as rows",)
"""Layers inside which rows are no samples."""
Wanted = Mapping[str, tuple[type, Tensor]]
"""Key -> the kind of rule and its mask (N,)."""


def gradients(model: nn.Module) -> dict[str, Tensor]:
    named = model.named_parameters(remove_duplicate=False)
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in named}


def loss_of(y: Tensor) -> Tensor:
    weights = torch.linspace(-1, 2, y[0].numel(), dtype=y.dtype).view(y.shape[1:])
    return ((y * weights).sum(dim=(1, 2)) + y.sum(dim=(1, 2)).sin()).sum()


def backward(loss: Tensor) -> None:
    if loss.requires_grad:
        loss.backward()


def weighed(output: Any, weight: float, kind: type) -> Any:
    """Change an output as one rule does for one sample."""
    if isinstance(output, Tensor):
        if not output.is_floating_point():
            return output
        held = output.detach()
        if kind is Values:
            return output * weight if weight else torch.zeros_like(held)
        return held + weight * (output - held) if weight else held
    if isinstance(output, dict):
        return {name: weighed(item, weight, kind) for name, item in output.items()}
    if isinstance(output, nn.utils.rnn.PackedSequence):
        return output._replace(data=weighed(output.data, weight, kind))
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(weighed(item, weight, kind) for item in output))
    if isinstance(output, tuple | list):
        return type(output)(weighed(item, weight, kind) for item in output)
    if hasattr(output, "__dataclass_fields__"):
        names = output.__dataclass_fields__
        return type(output)(**{n: weighed(getattr(output, n), weight, kind) for n in names})
    return output


def longhand(model: nn.Module, x: Tensor, wanted: Wanted) -> tuple[dict[str, Tensor], set[str]]:
    """Add up what each sample alone teaches, and name what any may teach."""
    may: set[str] = set()
    total = {name: torch.zeros_like(gradient) for name, gradient in gradients(model).items()}
    held = {n: {id(p) for p in m.parameters()} for n, m in model.named_modules()}
    own = dict(model.named_parameters(remove_duplicate=False))
    total["input"] = torch.zeros_like(x)
    for index, sample in enumerate(x.detach()[:, None]):
        model.zero_grad()
        sample.requires_grad_()
        handles = []
        taught = dict.fromkeys(map(id, own.values()), 1.0)
        for key, (kind, mask) in wanted.items():
            weight = float(mask[index])
            for name, module in model.named_modules():
                if kind is not Parameters and fnmatch.fnmatchcase(name, key):
                    hook = lambda _m, _args, y, w=weight, k=kind: weighed(y, w, k)  # noqa: E731
                    handles.append(module.register_forward_hook(hook))
            if kind is Parameters:
                inside = {p for n in held if fnmatch.fnmatchcase(n, key) for p in held[n]}
                inside |= {id(p) for n, p in own.items() if fnmatch.fnmatchcase(n, key)}
                for parameter in inside:
                    taught[parameter] *= weight
        backward(loss_of(model(sample)))
        if sample.grad is not None:
            total["input"][index] = sample.grad
        for name, gradient in gradients(model).items():
            weight = taught[id(own[name])]
            total[name] += weight * gradient if weight else 0
            if weight and own[name].grad is not None:
                may.add(name)
        for handle in handles:
            handle.remove()
    model.zero_grad()
    return total, may


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], int, int, dict[str, tuple[type, Tensor]]]:
    names = draw(st.lists(st.sampled_from(sorted(layer_zoo.LAYERS)), min_size=1, max_size=4))
    batch = draw(st.integers(1, layer_zoo.TEXT))
    seed = draw(st.integers(0, 10_000))
    model = layer_zoo.model_of(names, seed=seed)
    known = [name for name, _ in model.named_modules() if name]
    known += [name for name, _ in model.named_parameters(remove_duplicate=False)]
    wanted: dict[str, tuple[type, Tensor]] = {}
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([Activations, Parameters, Values]))
        if kind is Parameters:
            patterns = [p for p in ("*", "*.inner", "*weight*") if fnmatch.filter(known, p)]
            key = draw(st.sampled_from([*known, *patterns]))
        else:
            index = draw(st.integers(0, len(names) - 1))
            inner = names[index] not in NOT_BY_SAMPLE and hasattr(model[index], "inner")
            key = draw(st.sampled_from([f"{index}", f"{index}.inner"] if inner else [f"{index}"]))
        yes = draw(st.lists(st.booleans(), min_size=batch, max_size=batch))
        mask = torch.tensor(yes)
        if draw(st.booleans()):
            mask = mask * torch.linspace(-1, 1.5, batch, dtype=torch.float64)
        wanted[key] = (kind, mask)
    return names, batch, seed, wanted


def check(case: tuple[list[str], int, int, dict[str, tuple[type, Tensor]]]) -> None:
    names, batch, seed, wanted = case
    model = layer_zoo.model_of(names, seed=seed)
    plain = layer_zoo.alone(model)
    x = torch.randn(batch, layer_zoo.TEXT, layer_zoo.WIDTH, dtype=torch.float64)
    x.requires_grad_()
    before = list(model.state_dict())
    rules: dict[str, Rule] = {key: kind(mask) for key, (kind, mask) in wanted.items()}
    governs = True
    try:
        with routed(model, rules):
            y = model(x)
            backward(loss_of(y))
    except UnusedRuleError as error:
        governs = False
        key = str(error).split("'")[1]
        kind, _ = wanted[key]
        module = dict(model.named_modules()).get(key)
        without = kind is Parameters and not list(module.parameters() if module else [])
        assert without or "never_called" in key or "out_proj" in key or "parametriz" in key, error
    if governs:
        assert torch.equal(y, plain(x)) or any(kind is Values for kind, _ in wanted.values())
        expected, may = longhand(plain, x, wanted)
        assert x.grad is not None
        backward(loss_of(plain(x.detach())))
        # Of what a norm takes away again, as a bias below it, the gradient is rounding alone.
        may &= {name for name, alone in gradients(plain).items() if alone.abs().max() <= 1e-12}
        for name, gradient in [*gradients(model).items(), ("input", x.grad)]:
            scale = max(1.0, float(expected[name].abs().max()))
            assert (gradient - expected[name]).abs().max() <= 1e-9 * scale, (name, names, wanted)
            if (expected[name] == 0).all() and name not in may:
                assert (gradient == 0).all(), (name, "exactly")
    assert list(model.state_dict()) == before
    assert not nn.modules.module._global_forward_hooks


LOOSE = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=150, **LOOSE)
@given(cases())
def test_a_model_at_random_learns_what_each_sample_alone_teaches(case: Any) -> None:
    check(case)


def test_what_cancels_may_be_rounding_where_it_may_be_taught() -> None:
    names = ["gru cell", "convolution of images", "group norm", "lstm cell"]
    mask = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.5], dtype=torch.float64)
    check((names, 5, 0, {"1": (Parameters, mask)}))
    check((names, 5, 0, {"1": (Parameters, 0 * mask)}))


@pytest.mark.slow
@settings(max_examples=5000, **LOOSE)
@given(cases())
def test_five_thousand_models_do(case: Any) -> None:
    check(case)


@pytest.mark.parametrize("name", layer_zoo.LAYERS)
@pytest.mark.parametrize("batch", [3, layer_zoo.TEXT])
def test_each_layer_learns_from_every_other_sample(name: str, batch: int) -> None:
    mask = torch.arange(batch) % 2 == 0
    check(([name, "linear"], batch, 0, {"0": (Parameters, mask)}))
    check((["linear", name], batch, 1, {"1": (Activations, mask)}))
