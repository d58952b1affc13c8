"""Regions of a model: parts that are named, grown, measured and deleted. torch only.

Expand, Route, Ablate (Cloud et al., arXiv 2410.04332, section 4.2): give a model new units, route
the gradient of what it should not know into them, delete them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Regions = Mapping[str, Mapping[str, nn.Parameter]]
"""Region -> parameter name -> parameter."""
_REST = "rest"
"""The pattern of what no other region has."""


class Expanded(nn.Module):
    """A module and a new branch beside it, whose outputs are added."""

    def __init__(self, base: nn.Module, branch: nn.Module) -> None:
        """Put `branch` beside `base`; both get the same arguments."""
        super().__init__()
        self.base = base
        self.branch = branch

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add what both say; of several outputs, the first."""
        base = self.base(*args, **kwargs)
        branch = self.branch(*args, **kwargs)
        added = branch[0] if isinstance(branch, tuple) else branch
        if isinstance(base, tuple):
            return (base[0] + added, *base[1:])
        return base + added


def mlp_branch(
    inputs: int, units: int, outputs: int, activation: nn.Module | None = None
) -> nn.Sequential:
    """Make `units` new hidden units beside an MLP, from `inputs` numbers to `outputs`."""
    return nn.Sequential(
        nn.Linear(inputs, units), activation or nn.GELU(), nn.Linear(units, outputs, bias=False)
    )


def expand(model: nn.Module, name: str, branch: nn.Module) -> Expanded:
    """Give the submodule `name` a new branch that says nothing yet.

    The model's outputs are the same to the bit, since every parameter of the branch's last layer is
    set to 0. A gradient reaches the branch's other parameters after one step.

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
    own = [list(layer.parameters(recurse=False)) for layer in branch.modules()]
    layers = [parameters for parameters in own if parameters]  # in the order they were made
    if not layers:
        raise ValueError("the branch has no parameters: give it a layer that can learn.")
    with torch.no_grad():
        for parameter in layers[-1]:
            parameter.zero_()
    expanded = Expanded(getattr(parent, child), branch)
    setattr(parent, child, expanded)
    return expanded


def delete(model: nn.Module, name: str) -> None:
    """Delete the branch of the expanded submodule `name`: the model loses its parameters.

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
    before.weight[index] = 0.0  # (F, D): a row is a unit
    if before.bias is not None:
        before.bias[index] = 0.0
    after.weight[:, index] = 0.0  # and here a column is


def partition(
    model: nn.Module, regions: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, nn.Parameter]]:
    """Divide a model's parameters into named regions.

    Args:
        model: any module.
        regions: name -> patterns of parameter names, such as "blocks.*.branch.*". One region may
            have the pattern "rest": it gets what no other region has.

    Returns:
        region -> parameter name -> parameter.

    Raises:
        ValueError: if a parameter is in two regions or in none, or a pattern matches nothing.
    """
    named = dict(model.named_parameters())
    patterns = {region: tuple(own) for region, own in regions.items()}
    owner = _owners(named, patterns)
    missing = [name for name in named if name not in owner]
    takers = [region for region, own in patterns.items() if _REST in own]
    if missing and len(takers) != 1:
        raise ValueError(
            f"parameters in no region: {', '.join(missing[:5])}. "
            f"Give one region the pattern {_REST!r}."
        )
    for name in missing:
        owner[name] = takers[0]
    parts: dict[str, dict[str, nn.Parameter]] = {region: {} for region in regions}
    for name, parameter in named.items():
        parts[owner[name]][name] = parameter
    return parts


def _owners(names: Collection[str], regions: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Say which region each parameter is in by a pattern that matches its name."""
    owner: dict[str, str] = {}
    for region, patterns in regions.items():
        for pattern in patterns:
            found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
            if not found and pattern != _REST:
                raise ValueError(f"region {region!r}: no parameter is called {pattern!r}.")
            for name in found:
                other = owner.setdefault(name, region)
                if other != region:
                    raise ValueError(
                        f"parameter {name!r} is in regions {other!r} and {region!r}: choose one."
                    )
    return owner


def gradient_mass(losses: Mapping[str, Tensor], parts: Regions) -> dict[str, dict[str, float]]:
    """Say where the gradient of each kind of sample lands.

    Args:
        losses: label -> loss of the samples with that label, computed under the routes of training.
        parts: as `partition` returns them.

    Returns:
        label -> region -> share of the sum of squared gradients. Nothing is accumulated in `.grad`.
    """
    parameters = [p for region in parts.values() for p in region.values() if p.requires_grad]
    table = {}
    for label, loss in losses.items():
        # Not backward(): what training accumulates in `.grad` stays as it is.
        # grad() leaves .grad alone; a parameter that the loss does not reach has None.
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        square = dict.fromkeys(map(id, parameters), 0.0)  # by id: == would compare numbers
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                square[id(parameter)] = float(gradient.square().sum())
        mass = {
            region: sum(square.get(id(p), 0.0) for p in own.values())
            for region, own in parts.items()
        }
        total = sum(mass.values()) or 1.0  # no gradient at all: shares of 0
        table[label] = {region: value / total for region, value in mass.items()}
    return table


def metrics(
    mass: Mapping[str, Mapping[str, float]],
    homes: Mapping[str, str] | None = None,
    governed: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Flatten what routing did into numbers that any logger takes.

    Args:
        mass: label -> region -> share, as `gradient_mass` returns it.
        homes: label -> the region that is for it.
        governed: rule -> how much it governed, as a block's `governed`.

    Returns:
        "mass/LABEL/REGION"; "leakage/LABEL", the share that lands outside its home; and
        "governed/RULE", 0 for a rule that governed nothing.
    """
    flat = {f"mass/{label}/{r}": share for label, row in mass.items() for r, share in row.items()}
    for label, home in (homes or {}).items():
        flat[f"leakage/{label}"] = sum(share for r, share in mass[label].items() if r != home)
    return flat | {f"governed/{rule}": float(count) for rule, count in (governed or {}).items()}


def _locate(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the parent of a submodule, and what it calls it."""
    known = [found for found, _ in model.named_modules() if found]
    if name not in known:
        raise ValueError(f"no submodule is called {name!r}. There are: {', '.join(known)}.")
    parent, _, child = name.rpartition(".")
    return model.get_submodule(parent), child
