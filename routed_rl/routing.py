"""Gradient routing: decide, sample by sample, what a gradient may train.

Cloud et al., "Gradient Routing: Masking Gradients to Localize Computation in Neural Networks",
arXiv 2410.04332. torch only: nothing here knows about reinforcement learning.

Three mechanisms, each exact for every sample of a mixed batch:

- **activations** (`route`): values pass, gradients stop. What computed them, and all below it, learns only from the
  samples that are kept. The paper's mechanism.
- **parameters** (`Parameters`): gradients pass through, but the module's own parameters learn only from the samples
  that are kept. SGTM (arXiv 2512.05648) finds that it leaks less.
- **values** (`Values`): what a module says is 0 where a sample is not kept, so nobody learns to rely on it there.

`routed` applies them to a model that you do not own.
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
from torch.nn import functional


def route(x: Tensor, keep: Tensor) -> Tensor:
    """Return `x` unchanged, but let gradient pass only where `keep` is true.

    The value is `x` to the bit; the gradient is exactly zero where `keep` is false, so whatever computed
    `x` learns only from the samples that it may learn from. (Paper, equation 1.)

    Args:
        x: activations (N, ...).
        keep: bool, of x's shape or of its leading axes; (N,) decides for whole samples. Or a float to multiply the
            gradient by: 0.3 lets a part of it pass, -1 turns it round.

    Returns:
        A tensor like `x`.

    Raises:
        ValueError: if `keep` is neither bool nor float, or its shape is no leading part of x's shape.
    """
    keep = _broadcast(keep, x)
    if keep.dtype == torch.bool:
        return torch.where(keep, x, x.detach())
    return _Scaled.apply(x, keep)  # type: ignore[no-any-return]


def attach_loss(x: Tensor, loss: Tensor) -> Tensor:
    """Return `x` unchanged; whoever takes a gradient through it takes that of `loss`, a scalar, too.

    For a training loop that you do not own: a loss that rides on a tensor which is sure to be used. Its coefficient
    is 1 however `x` is used, as long as `x` gets a gradient at all.
    """
    return _Attached.apply(x, loss)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Activations:
    """Stop gradient through a module's output where a sample is not kept; with `units`, through these units only."""

    keep: Tensor
    units: slice | None = None


@dataclass(frozen=True)
class Parameters:
    """Let a module's parameters learn only from the samples that are kept; gradient passes through as ever.

    A float multiplies what they learn: 0.3 for a part of it, -1 to unlearn.
    """

    keep: Tensor


@dataclass(frozen=True)
class Values:
    """Set a module's output to 0 where a sample is not kept; with `units`, these units only."""

    keep: Tensor
    units: slice | None = None


Rule = Tensor | Activations | Parameters | Values
"""What may happen to a module; a tensor alone means `Activations`."""


@contextmanager
def routed(model: nn.Module, rules: Mapping[str, Rule]) -> Iterator[nn.Module]:
    """Route a model that you do not own, inside a `with` block. Backward belongs inside too, if it recomputes.

    Args:
        model: any module.
        rules: what to do where. A key is the name of a submodule, or a pattern such as "blocks.*.mlp".

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
                matched = list(dict.fromkeys(part for module in matched for part in _holders(module)))  # each once
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
        with _learning_from(module, rule.keep):
            yield
        return
    handle = module.register_forward_hook(lambda _module, _args, output: _first_changed(output, rule))
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
    if rule.units is None:
        return route(output, rule.keep) if isinstance(rule, Activations) else _zeroed(output, rule.keep)
    chosen = torch.zeros(output.shape[-1], dtype=torch.bool, device=output.device)
    chosen[rule.units] = True
    keep = rule.keep.reshape(rule.keep.shape + (1,) * (output.ndim - rule.keep.ndim))
    if keep.dtype == torch.bool:
        keep = (keep | ~chosen).expand(output.shape)
    else:
        keep = torch.where(chosen, keep, torch.ones_like(keep)).expand(output.shape)
    return route(output, keep) if isinstance(rule, Activations) else _zeroed(output, keep)


def _zeroed(x: Tensor, keep: Tensor) -> Tensor:
    """Return `x` where it is kept, and 0 elsewhere."""
    keep = _broadcast(keep, x)
    return torch.where(keep, x, torch.zeros_like(x)) if keep.dtype == torch.bool else x * keep


@contextmanager
def _learning_from(module: nn.Module, keep: Tensor) -> Iterator[None]:
    """Let the parameters of a module learn only from some samples."""
    plain, before = module.forward, vars(module).get("forward")

    def forward(*args: Any, **kwargs: Any) -> Any:
        if type(module) is nn.Linear and not kwargs:
            return linear(args[0], module.weight, module.bias, keep)
        fixed = {name: parameter.detach() for name, parameter in module.named_parameters()}
        module.forward = plain
        try:
            through = functional_call(module, fixed, args, kwargs)
            own = plain(*(arg.detach() if isinstance(arg, Tensor) else arg for arg in args), **kwargs)
        finally:
            module.forward = forward
        if isinstance(through, tuple):
            return (_with_gradient_of(through[0], own[0], keep), *through[1:])
        return _with_gradient_of(through, own, keep)

    module.forward = forward
    try:
        yield
    finally:
        del module.forward  # the class's own shows again
        if before is not None:
            module.forward = before


def _with_gradient_of(through: Tensor, own: Tensor, keep: Tensor) -> Tensor:
    """Return `through`, with the gradient of `own`, which is the same number, where it is kept."""
    return through + route(own - own.detach(), keep)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, keep: Tensor) -> Tensor:
    """Compute a linear layer whose weight (F, D) and bias (F,) learn only from the kept samples of x (N, ..., D)."""
    return _Linear.apply(x, weight, bias, _broadcast(keep, x))  # type: ignore[no-any-return]


def _broadcast(keep: Tensor, x: Tensor) -> Tensor:
    """Give `keep` as many axes as `x`."""
    if keep.dtype != torch.bool and not keep.is_floating_point():
        raise ValueError(f"keep has dtype {keep.dtype}: pass bool (where gradient may flow) or float (how much of it).")
    leading = keep.shape == x.shape[: keep.ndim]
    if not leading and not (keep.ndim == x.ndim and keep.shape[-1] == 1 and keep.shape[:-1] == x.shape[:-1]):
        raise ValueError(f"keep has shape {tuple(keep.shape)}, x has {tuple(x.shape)}: match x's leading axes.")
    return keep.reshape(keep.shape + (1,) * (x.ndim - keep.ndim))


class _Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None


class _Attached(torch.autograd.Function):
    """The identity of x; the loss gets a gradient of 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        ctx.save_for_backward(loss)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (loss,) = ctx.saved_tensors
        return gradients[0], torch.ones_like(loss)


class _Linear(torch.autograd.Function):
    """A linear layer with two gradients: all samples' to its input, the kept samples' to its parameters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, keep: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, keep)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, keep = ctx.saved_tensors
        gradient = gradients[0]
        to_x = gradient @ weight if ctx.needs_input_grad[0] else None
        kept = (gradient * keep).flatten(0, -2)
        to_weight = kept.t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        to_bias = kept.sum(dim=0) if ctx.needs_input_grad[2] else None
        return to_x, to_weight, to_bias, None
