"""A block: which names its rules have, what it counts, and what it says when it ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mixed_batch import EVERYBODY, FIRST, NOBODY, batch
from torch import Tensor, nn

from routed_rl.routing import Activations, Parameters, UnusedRuleError, Values, calls, routed


def layers(count: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(count))).double()


def learnt(parameter: Tensor) -> bool:
    assert parameter.grad is not None
    return bool(parameter.grad.any())


def refused(model: nn.Module, rules: Any) -> str:
    with pytest.raises(ValueError) as told:
        routed(model, rules)
    return str(told.value)


class Shared(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 4)
        self.decode = self.encode

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


@pytest.mark.parametrize(
    ("count", "listed"), [(12, "0 to 11"), (13, "0 to 11 and 1 more"), (14, "0 to 11 and 2 more")]
)
def test_a_name_that_is_like_no_other_is_told_beside_twelve(count: int, listed: str) -> None:
    said = refused(layers(count), {"blocks": NOBODY})
    expected = listed.replace("0 to 11", ", ".join(map(str, range(12))))
    assert said == f"no submodule or parameter is called 'blocks'. There are: {expected}."


def test_a_name_that_is_like_others_is_told_beside_the_nearest_three() -> None:
    model = nn.ModuleDict({f"block{letter}": nn.Identity() for letter in "abcd"} | {"x": layers()})
    said = refused(model, {"block": NOBODY})
    assert said.startswith("no submodule or parameter is called 'block'. Did you mean: block")
    names = said.partition("mean: ")[2].removesuffix(".").split(", ")
    assert len(names) == 3 and set(names) < {"blocka", "blockb", "blockc", "blockd"}
    many = nn.ModuleDict({f"block{n}": nn.Identity() for n in range(20)})
    assert "more" not in refused(many, {"block": NOBODY})


def test_both_names_of_what_is_shared_are_known() -> None:
    assert "Did you mean: decode, " in refused(Shared(), {"decodes": NOBODY})
    assert "Did you mean: decode.weight, " in refused(Shared(), {"decode.weights": NOBODY})
    assert refused(Shared(), {"zzz": NOBODY}).endswith("There are: encode, decode.")
    model = Shared().double()
    with routed(model, {"decode.weight": Parameters(NOBODY)}):
        model(batch(4)).sum().backward()
    assert not learnt(model.encode.weight) and learnt(model.encode.bias)


def test_what_a_parameter_or_all_but_some_cannot_have_is_told() -> None:
    whole = r"'!0' is all parameters but some: its rule can only be Parameters(mask)."
    for rule in (Activations(NOBODY), Values(NOBODY), Parameters(NOBODY, output=0)):
        assert refused(layers(), {"!0": rule}) == whole
    assert refused(layers(), {"!0": Parameters(NOBODY, at="module")}) == whole
    for rule in (Parameters(NOBODY, output=0), Parameters(NOBODY, at="module")):
        said = refused(layers(), {"0.weight": rule})
        assert said == "'0.weight' is a parameter: output= and at='module' need a module's name."


def test_rows_that_there_are_not_are_told_when_the_block_begins() -> None:
    with pytest.raises(ValueError, match="9"):
        routed(layers(), {"0": Parameters(NOBODY, rows=9)}).__enter__()
    assert calls.current() is None


def test_tensors_that_a_rule_governed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = layers(), batch(4)
    block = routed(model, {"0": Activations(FIRST), "[12]": Activations(FIRST)})
    with block:
        model(x)
        assert block.governed == {"0": 1, "[12]": 2}
        model(x)
        assert block.governed == {"0": 2, "[12]": 4}
        # In a compiled graph it is noted that there were some.
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        model(x)
        assert block.governed == {"0": 1, "[12]": 1}
        model(x)
        assert block.governed == {"0": 1, "[12]": 1}


def test_three_blocks_in_one_another_add_their_rules() -> None:
    model = layers()
    with (
        routed(model, {"0": Parameters(NOBODY)}),
        routed(model, {"1": Parameters(NOBODY)}),
        routed(model, {"2.weight": Parameters(NOBODY)}),
    ):
        model(batch(4)).sum().backward()
    found = {name: learnt(p) for name, p in model.named_parameters()}
    assert found == dict.fromkeys(found, False) | {"2.bias": True}


def test_blocks_around_know_that_the_innermost_ran_without_gradient() -> None:
    model = layers()
    with routed(model, {"0": Parameters(FIRST)}), torch.no_grad():
        model(batch(4))
    with (
        routed(model, {"0": Parameters(FIRST)}),
        routed(model, {"1": Parameters(FIRST)}),
        routed(model, {"2": Activations(FIRST)}),
        torch.no_grad(),
    ):
        model(batch(4))


def test_blocks_around_know_that_the_innermost_ran_with_gradient() -> None:
    model = layers()
    others = {name: p.detach().clone() for name, p in model.named_parameters()}
    middle = routed(model, {"1": Parameters(FIRST)})
    with (
        pytest.raises(
            UnusedRuleError, match=r"'0' governed nothing: no forward used .*Name others"
        ),
        routed(model, {"0": Parameters(FIRST)}),
        pytest.raises(UnusedRuleError, match="rule '1' governed nothing"),
        middle,
        routed(model, {"2": Activations(FIRST)}),
    ):
        torch.func.functional_call(model, others, (batch(4),))


def test_why_a_rule_governed_nothing() -> None:
    spare = layers(1)
    model = nn.ModuleDict({"used": layers(1), "spare": spare})

    def why(*rules: Any) -> str:
        with pytest.raises(UnusedRuleError) as told, routed(model, dict(rules)):
            model["used"](batch(4))
        return str(told.value).removeprefix("rule 'spare' governed nothing: ")

    not_called = "its module was not called, or only in a model that was compiled outside the block"
    parent = "If a parent's forward uses its parameters, give the rule to the parent"
    allow = ", or say allow_unused=True."
    with torch.no_grad():
        for rule in (Activations(FIRST), Parameters(FIRST)):
            said = why(("used", rule), ("spare", Activations(FIRST)))
            assert said == f"{not_called}. {parent}{allow}"
    not_used = (
        "no forward used its parameters, or only in a model that was compiled outside the block"
    )
    spare[0].bias.requires_grad_(requires_grad=False)
    alone = why(("spare", Parameters(FIRST)))
    assert alone == f"{not_used}. Run the model inside the block{allow}"
    beside = why(("used", Activations(FIRST)), ("spare", Parameters(FIRST)))
    assert beside == f"{not_used}. Name others{allow}"


def test_two_rules_for_one_input_are_both_applied() -> None:
    model, x = layers(1), batch(4)
    rules = {"0": Activations(NOBODY, units=0, at="input"), "": Activations(EVERYBODY)}
    rules |= {"*0": Activations(NOBODY, units=1, at="input")}
    with routed(model, rules):
        model(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.any(dim=0).tolist() == [False, False, True, True]


def test_an_output_rule_does_not_mind_arguments_by_keyword() -> None:
    layer = nn.Linear(4, 4).double()
    x = batch(4)
    with routed(layer, {"": Activations(FIRST)}):
        layer(input=x).sum().backward()
    assert x.grad is not None
    assert x.grad.any(dim=1).tolist() == FIRST.tolist()


def test_what_does_not_fit_an_input_is_said_to_be_one() -> None:
    class Opaque(nn.Module):
        def forward(self, x: Tensor, _: Any) -> Tensor:
            return x

    model = Opaque()
    with (
        pytest.raises(ValueError, match=r"it returned object at input\[1\], whose") as told,
        routed(model, {"": Activations(FIRST, at="input")}),
    ):
        model(batch(4), object())
    assert "output[" not in str(told.value)
    with (
        pytest.raises(ValueError, match=r"returned object at output\[1\], whose"),
        routed(Pair(), {"": Activations(FIRST)}) as pair,
    ):
        pair(batch(4))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x, object()
