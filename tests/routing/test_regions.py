from __future__ import annotations

import pytest
import torch
from torch import nn

from routed_rl.routing import Activations, Parameters, Rule, routed
from routed_rl.routing.regions import (
    delete,
    delete_units,
    expand,
    gradient_mass,
    metrics,
    mlp_branch,
    partition,
)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.mlp(x)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block())


def test_expanding_changes_nothing_until_the_branch_learns_and_deleting_takes_it_away(
    model: nn.Module,
) -> None:
    x = torch.randn(3, 5, 8)
    plain = model(x)
    names = set(model.state_dict())
    expand(model, "0.mlp", mlp_branch(8, 4, 8))
    expand(model, "1.attention", nn.MultiheadAttention(8, 2, batch_first=True))
    assert torch.equal(model(x), plain), "to the bit"
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        model.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    branch = model.get_submodule("0.mlp.branch")
    assert all((p != 0).any() for p in branch.parameters()), "all of it learns after the first step"
    with pytest.raises(ValueError, match="no expanded module"):
        delete(model, "1.mlp")
    delete(model, "0.mlp")
    delete(model, "1.attention")
    assert set(model.state_dict()) == names


def test_deleted_units_say_nothing() -> None:
    up = nn.Linear(3, 4)
    down = nn.Linear(4, 2)
    x = torch.randn(5, 3)
    hidden = up(x)
    hidden[:, [1, 3]] = 0
    expected = down(hidden)
    delete_units(up, [1, 3], down)
    assert torch.allclose(down(up(x)), expected, atol=1e-6)
    assert (up.weight[[1, 3]] == 0).all() and (down.weight[:, [1, 3]] == 0).all()


def test_regions_are_disjoint_and_cover(model: nn.Module) -> None:
    expand(model, "0.mlp", mlp_branch(8, 4, 8))
    parts = partition(model, {"new": ["*.branch.*"], "core": ["rest"]})
    assert len(parts["new"]) == 3
    assert len(parts["new"]) + len(parts["core"]) == len(list(model.parameters()))
    with pytest.raises(ValueError, match="in regions 'a' and 'b'"):
        partition(model, {"a": ["0.*"], "b": ["*.mlp.*"], "c": ["rest"]})
    with pytest.raises(ValueError, match="in no region"):
        partition(model, {"a": ["0.*"]})
    with pytest.raises(ValueError, match="no parameter is called 'x'"):
        partition(model, {"a": ["x"], "b": ["rest"]})


def test_what_is_routed_into_a_region_lands_there_and_only_there(model: nn.Module) -> None:
    expand(model, "1.mlp", mlp_branch(8, 4, 8))
    with torch.no_grad():
        for parameter in model.get_submodule("1.mlp.branch").parameters():
            parameter.normal_()
    parts = partition(model, {"new": ["*.branch.*"], "core": ["rest"]})
    x = torch.randn(6, 5, 8)
    forget = torch.tensor([True, True, False, False, False, False])

    def mass_under(rules: dict[str, Rule]) -> dict[str, dict[str, float]]:
        with routed(model, rules):
            loss = model(x).square().sum(dim=(1, 2))
            losses = {"forget": loss[forget].sum(), "retain": loss[~forget].sum()}
            return gradient_mass(losses, parts)

    core = ("0", "1.attention", "1.mlp.base")
    mass = mass_under({name: Parameters(~forget) for name in core})
    assert mass["forget"] == {"new": 1.0, "core": 0.0}
    assert 0 < mass["retain"]["new"] < 1
    mass = mass_under({"1.mlp.branch": Activations(forget)})
    assert mass["retain"] == {"new": 0.0, "core": 1.0}
    assert all(parameter.grad is None for parameter in model.parameters())
    flat = metrics(mass, {"retain": "core"}, {"1.mlp.branch": 0})
    assert flat["mass/forget/new"] == mass["forget"]["new"]
    assert flat["leakage/retain"] == 0
    assert flat["governed/1.mlp.branch"] == 0
    assert metrics(mass, {"forget": "new"})["leakage/forget"] == pytest.approx(
        mass["forget"]["core"]
    )
