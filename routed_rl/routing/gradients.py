"""Tensors that pass unchanged while their gradient does not: the mechanism under every rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from routed_rl.routing.masks import Mask, broadcast, weighed


def route(x: Tensor, grad_mask: Mask) -> Tensor:
    """Return `x` unchanged, but let gradient pass only where `grad_mask` is true.

    The value is `x` to the bit. The gradient is exactly zero where the mask is false, so whatever
    computed `x` learns only from the samples that it may learn from. (Paper, equation 1.)

    Args:
        x: activations (N, ...).
        grad_mask: bool, of x's shape or of its leading axes; (N,) decides for whole samples. Or
            floats to multiply the gradient by: 0.3 lets a part of it pass, -1 reverses it. One
            number is for all samples.

    Returns:
        A tensor like `x`.

    Raises:
        ValueError: if the mask is neither bool nor float, or no leading part of x's shape.
    """
    grad_mask = broadcast(grad_mask, x)
    if grad_mask.dtype == torch.bool and x.is_contiguous():
        return torch.where(grad_mask, x, x.detach())
    # Keeps the layout: in another, what follows would add up in another order.
    return _Weighed.apply(x, grad_mask)  # type: ignore[no-any-return]


def attach_loss(x: Tensor, loss: Tensor) -> Tensor:
    """Return `x` unchanged; whoever takes a gradient through it takes that of `loss`, too.

    For a training loop that you do not own: a scalar loss that rides on a tensor which is sure to
    be used. Its coefficient is 1 however `x` is used, as long as `x` gets a gradient at all.
    """
    return _Attached.apply(x, loss)  # type: ignore[no-any-return]


def zeroed(x: Tensor, mask: Mask) -> Tensor:
    """Return `x` where the mask is true and 0 elsewhere, or for a float mask their product."""
    return weighed(x, broadcast(mask, x))


class _Weighed(torch.autograd.Function):
    """The identity, whose gradient is multiplied or stopped."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grad_mask: Tensor) -> Tensor:
        ctx.save_for_backward(grad_mask)
        return x.clone()  # a view could not be changed in place by what follows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grad_mask,) = ctx.saved_tensors
        return weighed(gradients[0], grad_mask), None


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
