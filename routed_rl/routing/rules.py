"""Rules for the modules of a model that you do not own, for as long as a `with` block lasts.

Three mechanisms, each exact for every sample of a mixed batch:

- `Activations`: values pass, gradients stop. What computed them, and all below it, learns only from
  the samples that the mask lets through. The paper's mechanism.
- `Parameters`: gradients pass through, but the module's own parameters learn only from these
  samples. SGTM (arXiv 2512.05648) finds that it leaks less.
- `Values`: a module's output is 0 where the mask is false, so nobody learns to rely on it there.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from routed_rl.routing.gradients import linear, route, zeroed


@dataclass(frozen=True)
class Activations:
    """Stop gradient through a module's output where the mask is false; or only through `units`."""

    grad_mask: Tensor
    units: slice | None = None


@dataclass(frozen=True)
class Parameters:
    """Let a module's parameters learn only where the mask is true; gradient passes through as ever.

    A float multiplies what they learn: 0.3 for a part of it, -1 to unlearn.
    """

    grad_mask: Tensor


@dataclass(frozen=True)
class Values:
    """Set a module's output to 0 where the mask is false; with `units`, these units only."""

    mask: Tensor
    units: slice | None = None


Rule = Tensor | Activations | Parameters | Values
"""What may happen to a module; a tensor alone means `Activations`."""


@contextmanager
def routed(model: nn.Module, rules: Mapping[str, Rule]) -> Iterator[nn.Module]:
    """Route a model inside a `with` block. Backward belongs inside too, if it recomputes.

    Args:
        model: any module.
        rules: what to do where. A key is the name of a submodule, or a pattern like "blocks.*.mlp".

    Yields:
        The model. Nothing is left behind, also after an exception.

    Raises:
        ValueError: if a name matches no submodule.
    """
    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for pattern, rule in rules.items():
            names = [name for name in modules if fnmatch.fnmatchcase(name, pattern)]
            if not names:
                known = ", ".join(name for name in modules if name)
                raise ValueError(f"no submodule is called {pattern!r}. There are: {known}.")
            matched = [modules[name] for name in names]
            if isinstance(rule, Parameters):
                # A pattern may match a module and its parent: each holder is governed once.
                holders = (holder for module in matched for holder in _holders(module))
                matched = list(dict.fromkeys(holders))
            for module in matched:
                stack.enter_context(_applied(module, rule))
        yield model


def _holders(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules inside that hold parameters themselves."""
    if next(module.parameters(recurse=False), None) is not None:
        yield module
    else:
        for child in module.children():
            yield from _holders(child)


@contextmanager
def _applied(module: nn.Module, rule: Rule) -> Iterator[None]:
    """Apply one rule to one module."""
    if isinstance(rule, Parameters):
        with _learning_from(module, rule.grad_mask):
            yield
        return

    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        return _first_changed(output, rule)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _first_changed(output: Any, rule: Tensor | Activations | Values) -> Any:
    """Apply a rule to what a module returned, or to the first of several things."""
    if isinstance(output, tuple):
        return (_first_changed(output[0], rule), *output[1:])
    if isinstance(rule, Tensor):
        return route(output, rule)
    if isinstance(rule, Activations):
        return route(output, _for_units(rule.grad_mask, rule.units, output))
    return zeroed(output, _for_units(rule.mask, rule.units, output))


def _for_units(mask: Tensor, units: slice | None, output: Tensor) -> Tensor:
    """Return a mask that says true, or 1, at all units (the last axis) but those that are meant."""
    if units is None:
        return mask
    # (F,) the units that the rule is for; the mask gets as many axes as the output (N, ..., F).
    meant = torch.zeros(output.shape[-1], dtype=torch.bool, device=output.device)
    meant[units] = True
    mask = mask.reshape(mask.shape + (1,) * (output.ndim - mask.ndim))
    if mask.dtype == torch.bool:
        return (mask | ~meant).expand(output.shape)
    return torch.where(meant, mask, torch.ones_like(mask)).expand(output.shape)


@contextmanager
def _learning_from(module: nn.Module, grad_mask: Tensor) -> Iterator[None]:
    """Let the parameters of a module learn only from some samples."""
    plain = module.forward
    own_before = vars(module).get("forward")  # somebody may have replaced the class's already

    def forward(*args: Any, **kwargs: Any) -> Any:
        if type(module) is nn.Linear and not kwargs:
            return linear(args[0], module.weight, module.bias, grad_mask)
        module.forward = plain
        try:
            return _twice(module, grad_mask, args, kwargs)
        finally:
            module.forward = forward

    module.forward = forward
    try:
        yield
    finally:
        del module.forward  # the class's own shows again
        if own_before is not None:
            module.forward = own_before


def _twice(module: nn.Module, grad_mask: Tensor, args: Any, kwargs: Any) -> Any:
    """Compute a module once for the gradient of its input, once for that of its parameters."""
    fixed = {name: parameter.detach() for name, parameter in module.named_parameters()}
    through = functional_call(module, fixed, args, kwargs)  # gradient to the inputs alone
    detached = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
    own = module.forward(*detached, **kwargs)  # the same numbers, of the parameters alone
    if isinstance(through, tuple):
        return (_with_gradient_of(through[0], own[0], grad_mask), *through[1:])
    return _with_gradient_of(through, own, grad_mask)


def _with_gradient_of(through: Tensor, own: Tensor, grad_mask: Tensor) -> Tensor:
    """Return `through`, with the gradient of the equal `own` where the mask is true."""
    # own - own.detach() is exactly 0, so the value is `through` to the bit.
    return through + route(own - own.detach(), grad_mask)
