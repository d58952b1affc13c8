"""Compiled models, and passes that compute again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from routed_rl.routing import Activations, Parameters, Rule, UnusedRuleError, Values, routed

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, while it compiles
    pytest.mark.filterwarnings("ignore:Using `torch.compile"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),  # where a graph breaks
]
MASKS = [torch.tensor([True, False, True]), torch.tensor([False, False, True])]


class Breaks(nn.Module):
    """Leaves a compiled graph in the middle."""

    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return 2 * x


def model_of(*, breaks: bool) -> nn.Sequential:
    torch.manual_seed(0)
    norms = [nn.LayerNorm(4), nn.Tanh(), nn.LayerNorm(4)]
    middle = [Breaks()] if breaks else []
    layers = [nn.Linear(4, 4), *norms, *middle, nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)]
    return nn.Sequential(*layers)


def learnt(model: nn.Module, call: Callable[[Tensor], Tensor], rules: Mapping[str, Rule]) -> Any:
    model.zero_grad()
    with routed(model, rules):
        call(torch.linspace(-1, 1, 12).view(3, 4)).square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("kind", [Activations, Values, Parameters])
@pytest.mark.parametrize("breaks", [False, True])
def test_compiled_in_a_block_it_learns_the_same_with_any_mask(kind: Any, breaks: bool) -> None:
    model = model_of(breaks=breaks)
    for keys in (["1"], ["0", "3"], ["2", "5" if breaks else "4"]):
        torch.compiler.reset()
        compiled = torch.compile(model, backend="eager")
        for mask in [*MASKS, MASKS[0]]:
            rules = {key: kind(mask) for key in keys if kind is not Parameters or key != "2"}
            rules = rules or {"0": kind(mask)}
            ours = learnt(model, compiled, rules)
            for own, expected in zip(ours, learnt(model, model, rules), strict=True):
                assert torch.equal(own, expected), (keys, mask)
    for own, expected in zip(learnt(model, compiled, {}), learnt(model, model, {}), strict=True):
        assert torch.equal(own, expected), "nothing stays behind"


@pytest.mark.parametrize("kind", [Activations, Values])
def test_a_rule_does_not_break_the_graph_and_a_new_mask_makes_no_new_one(kind: Any) -> None:
    from torch._dynamo.testing import CompileCounter  # a second, for each worker that collects

    torch.compiler.reset()
    model, counter = model_of(breaks=False), CompileCounter()
    compiled = torch.compile(model, backend=counter)
    for mask in MASKS:
        learnt(model, compiled, {"0": kind(mask), "4": kind(mask)})
    assert counter.frame_count == 1


@pytest.mark.parametrize("kind", [Activations, Parameters])
def test_a_model_that_was_compiled_outside_is_told(kind: Any) -> None:
    torch.compiler.reset()
    model = model_of(breaks=False)
    compiled = torch.compile(model, backend="eager")
    compiled(torch.zeros(3, 4))
    with pytest.raises(UnusedRuleError, match="compiled outside the block"):
        learnt(model, compiled, {"0": kind(MASKS[0])})


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kind", [Activations, Parameters, Values])
def test_a_part_that_is_computed_again(kind: Any, reentrant: bool) -> None:
    model = model_of(breaks=False)
    rules = {"1": kind(MASKS[0]), "4": kind(MASKS[0])}

    def call(x: Tensor) -> Tensor:
        x = model[0](x)
        return checkpoint(model[1:], x, use_reentrant=reentrant)  # type: ignore[no-any-return]

    for own, expected in zip(learnt(model, call, rules), learnt(model, model, rules), strict=True):
        assert torch.allclose(own, expected)
