"""Regions of a model: parts that are named, grown, measured and deleted. torch only.

Expand, Route, Ablate (Cloud et al., arXiv 2410.04332, section 4.2): give a model new units, route the gradient of what
it should not know into them, delete them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Expanded(nn.Module):
    """A module and a new branch beside it, whose outputs are added."""

    def __init__(self, base: nn.Module, branch: nn.Module) -> None:
        """Put `branch` beside `base`; both get the same arguments."""
        super().__init__()
        self.base, self.branch = base, branch

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add what both say; of several outputs, the first."""
        base, branch = self.base(*args, **kwargs), self.branch(*args, **kwargs)
        if isinstance(base, tuple):
            return (base[0] + (branch[0] if isinstance(branch, tuple) else branch), *base[1:])
        return base + branch


def mlp_branch(inputs: int, units: int, outputs: int, activation: nn.Module | None = None) -> nn.Sequential:
    """Make `units` new hidden units beside an MLP, from `inputs` numbers to `outputs`."""
    return nn.Sequential(nn.Linear(inputs, units), activation or nn.GELU(), nn.Linear(units, outputs, bias=False))


def expand(model: nn.Module, name: str, branch: nn.Module) -> Expanded:
    """Give the submodule `name` a new branch that says nothing yet: the model's outputs are the same to the bit.

    Every parameter of the branch's last layer is set to 0, so a gradient reaches the others after one step.

    Args:
        model: is changed in place.
        name: of a submodule whose (first) output is a tensor.
        branch: takes what the submodule takes and returns as much; for an MLP see `mlp_branch`.

    Returns:
        What now stands at `name`; the branch is called `name + ".branch"`.

    Raises:
        ValueError: if there is no such submodule, or the branch has no layer with parameters.
    """
    parent, child = _locate(model, name)
    layers = [layer for layer in branch.modules() if next(layer.parameters(recurse=False), None) is not None]
    if not layers:
        raise ValueError("the branch has no parameters: give it a layer that can learn.")
    with torch.no_grad():
        for parameter in layers[-1].parameters(recurse=False):
            parameter.zero_()
    expanded = Expanded(getattr(parent, child), branch)
    setattr(parent, child, expanded)
    return expanded


def delete(model: nn.Module, name: str) -> None:
    """Delete the branch of the expanded submodule `name`: the model no longer contains its parameters.

    Raises:
        ValueError: if nothing was expanded there.
    """
    parent, child = _locate(model, name)
    expanded = getattr(parent, child)
    if not isinstance(expanded, Expanded):
        raise ValueError(f"{name!r} is no expanded module: name one that `expand` returned.")
    setattr(parent, child, expanded.base)


@torch.no_grad()
def delete_units(before: nn.Linear, units: Sequence[int], after: nn.Linear) -> None:
    """Zero hidden units between two layers: what they say, and what is made of it."""
    index = torch.as_tensor(units, device=before.weight.device)
    before.weight[index] = 0.0
    if before.bias is not None:
        before.bias[index] = 0.0
    after.weight[:, index] = 0.0


def partition(model: nn.Module, regions: Mapping[str, Iterable[str]]) -> dict[str, dict[str, nn.Parameter]]:
    """Divide a model's parameters into named regions.

    Args:
        model: any module.
        regions: name -> patterns of parameter names, such as "blocks.*.branch.*". One region may have the pattern
            "rest": it gets what no other region has.

    Returns:
        region -> parameter name -> parameter.

    Raises:
        ValueError: if a parameter is in two regions or in none, or a pattern matches nothing.
    """
    named = dict(model.named_parameters())
    owner: dict[str, str] = {}
    rest = [region for region, patterns in regions.items() if "rest" in patterns]
    for region, patterns in regions.items():
        for pattern in patterns:
            found = [name for name in named if fnmatch.fnmatchcase(name, pattern)]
            if not found and pattern != "rest":
                raise ValueError(f"region {region!r}: no parameter is called {pattern!r}.")
            for name in found:
                if owner.setdefault(name, region) != region:
                    raise ValueError(f"parameter {name!r} is in regions {owner[name]!r} and {region!r}: choose one.")
    missing = [name for name in named if name not in owner]
    if missing and len(rest) != 1:
        raise ValueError(f"parameters in no region: {', '.join(missing[:5])}. Give one region the pattern 'rest'.")
    owner |= dict.fromkeys(missing, rest[0] if rest else "")
    return {region: {name: named[name] for name in named if owner[name] == region} for region in regions}


def gradient_mass(
    losses: Mapping[str, Tensor], parts: Mapping[str, Mapping[str, nn.Parameter]]
) -> dict[str, dict[str, float]]:
    """Say where the gradient of each kind of sample lands.

    Args:
        losses: label -> loss of the samples with that label, computed under the routes that training has.
        parts: as `partition` returns them.

    Returns:
        label -> region -> share of the sum of squared gradients. Nothing is accumulated in `.grad`.
    """
    table = {}
    for label, loss in losses.items():
        parameters = [p for region in parts.values() for p in region.values() if p.requires_grad]
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        square = {id(p): 0.0 if g is None else float(g.square().sum()) for p, g in zip(parameters, found, strict=True)}
        mass = {region: sum(square.get(id(p), 0.0) for p in own.values()) for region, own in parts.items()}
        total = sum(mass.values()) or 1.0
        table[label] = {region: value / total for region, value in mass.items()}
    return table


def _locate(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the parent of a submodule, and what it calls it."""
    known = [found for found, _ in model.named_modules() if found]
    if name not in known:
        raise ValueError(f"no submodule is called {name!r}. There are: {', '.join(known)}.")
    parent, _, child = name.rpartition(".")
    return model.get_submodule(parent), child
