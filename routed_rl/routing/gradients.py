"""Tensors that pass unchanged while their gradient does not: the mechanism under every rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def route(x: Tensor, grad_mask: Tensor) -> Tensor:
    """Return `x` unchanged, but let gradient pass only where `grad_mask` is true.

    The value is `x` to the bit. The gradient is exactly zero where the mask is false, so whatever
    computed `x` learns only from the samples that it may learn from. (Paper, equation 1.)

    Args:
        x: activations (N, ...).
        grad_mask: bool, of x's shape or of its leading axes; (N,) decides for whole samples. Or a
            float to multiply the gradient by: 0.3 lets a part of it pass, -1 reverses it.

    Returns:
        A tensor like `x`.

    Raises:
        ValueError: if the mask is neither bool nor float, or no leading part of x's shape.
    """
    grad_mask = broadcast(grad_mask, x)
    if grad_mask.dtype == torch.bool:
        return torch.where(grad_mask, x, x.detach())
    return _Scaled.apply(x, grad_mask)  # type: ignore[no-any-return]


def attach_loss(x: Tensor, loss: Tensor) -> Tensor:
    """Return `x` unchanged; whoever takes a gradient through it takes that of `loss`, too.

    For a training loop that you do not own: a scalar loss that rides on a tensor which is sure to
    be used. Its coefficient is 1 however `x` is used, as long as `x` gets a gradient at all.
    """
    return _Attached.apply(x, loss)  # type: ignore[no-any-return]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, grad_mask: Tensor) -> Tensor:
    """Compute a linear layer that learns from some samples only, and passes gradient for all.

    Args:
        x: (N, ..., D).
        weight: (F, D).
        bias: (F,).
        grad_mask: whose samples weight and bias learn from; as in `route`.
    """
    return _Linear.apply(x, weight, bias, broadcast(grad_mask, x))  # type: ignore[no-any-return]


def zeroed(x: Tensor, mask: Tensor) -> Tensor:
    """Return `x` where the mask is true and 0 elsewhere, or for a float mask their product."""
    mask = broadcast(mask, x)
    return torch.where(mask, x, torch.zeros_like(x)) if mask.dtype == torch.bool else x * mask


def broadcast(mask: Tensor, x: Tensor) -> Tensor:
    """Give a mask as many axes as `x`.

    Raises:
        ValueError: if it is neither bool nor float, or no leading part of x's shape.
    """
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise ValueError(
            f"the mask has dtype {mask.dtype}: pass bool (where) or float (how much of it)."
        )
    leading = mask.shape == x.shape[: mask.ndim]
    # (N, T, 1) over (N, T, F) is taken too, since so masks are often written.
    per_row = mask.ndim == x.ndim and mask.shape[:-1] == x.shape[:-1] and mask.shape[-1] == 1
    if not leading and not per_row:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}, x has {tuple(x.shape)}: "
            "match x's leading axes."
        )
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


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
    """A linear layer with two gradients: of all samples to its input, of some to its parameters."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, grad_mask: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, grad_mask)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, grad_mask = ctx.saved_tensors
        gradient = gradients[0]  # (N, ..., F)
        to_x = gradient @ weight if ctx.needs_input_grad[0] else None
        # What a sample may not train is zeroed before the sums over samples, so nothing leaks.
        kept = (gradient * grad_mask).flatten(0, -2)
        to_weight = kept.t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        to_bias = kept.sum(dim=0) if ctx.needs_input_grad[2] else None
        return to_x, to_weight, to_bias, None
