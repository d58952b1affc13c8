"""Masks: who may learn, or how much of it, in the shapes in which people have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Mask = Tensor | Sequence[Any] | bool | float
"""A tensor, a list, a NumPy array or a number; bool says where, float says how much of it."""


def as_mask(mask: Any) -> Tensor:
    """Return a mask as a tensor of bool or floating point.

    Raises:
        ValueError: if it is anything else; integers too, since 1 may mean "yes" or "once".
    """
    try:
        tensor = torch.as_tensor(mask)
        if tensor.is_floating_point() and not isinstance(mask, Tensor):
            tensor = torch.as_tensor(mask, dtype=torch.float64)  # 0.3 is not to become 0.30000001
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"a mask cannot be {type(mask).__name__}: pass a tensor, a list or an array of bool "
            "(where) or float (how much of it), or one number for all."
        ) from error
    if tensor.dtype != torch.bool and not tensor.is_floating_point():
        raise ValueError(
            f"the mask has dtype {tensor.dtype}: pass bool (where) or float (how much of it)."
        )
    if tensor.requires_grad:
        raise ValueError("the mask requires a gradient, and would get none: pass mask.detach().")
    return tensor


def broadcast(mask: Mask, x: Tensor, batch_axis: int = 0) -> Tensor:
    """Give a mask as many axes as `x`, on its device.

    Args:
        mask: of x's shape, or of its leading axes; or (N,), one entry a sample; or one number.
        x: activations.
        batch_axis: the axis of x that (N,) is about.

    Raises:
        ValueError: if it is no mask, or fits x in none of these ways.
    """
    mask = as_mask(mask)
    mask = mask.to(x.device, x.dtype if mask.is_floating_point() else torch.bool)
    if mask.ndim == 1 and x.ndim > batch_axis and len(mask) == x.shape[batch_axis]:
        return mask.reshape((1,) * batch_axis + (-1,) + (1,) * (x.ndim - batch_axis - 1))
    leading = mask.ndim != 1 and mask.shape == x.shape[: mask.ndim]
    # (N, T, 1) over (N, T, F) is taken too, since so masks are often written.
    same_axes = mask.ndim == x.ndim
    spread = same_axes and all(m in (1, n) for m, n in zip(mask.shape, x.shape, strict=True))
    if not leading and not spread:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}, x has {tuple(x.shape)}: "
            + ("match x's leading axes." if batch_axis == 0 else f"match x's axis {batch_axis}.")
        )
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


Which = slice | Sequence[int] | Tensor | int
"""Places on an axis: a slice, numbers, or bool for each place."""


def chosen(which: Which, count: int, device: torch.device) -> Tensor:
    """Return (count,) bool: the places that are meant.

    Raises:
        IndexError: if there are no such places.
    """
    places = torch.zeros(count, dtype=torch.bool, device=device)
    if isinstance(which, slice):
        # A stop as far below 0 leaves no place, which is told below.
        if max(abs(which.start or 0), which.stop or 0) > count:
            raise IndexError
        places[which] = True
    else:
        index = torch.as_tensor(which, device=device)
        places[index if index.dtype == torch.bool else index.long()] = True
    if not places.any():
        raise IndexError
    return places


def for_units(mask: Tensor, units: Which, x: Tensor, axis: int) -> Tensor:
    """Return a mask that says true, or 1, at all units but those that are meant.

    Args:
        mask: as `broadcast` returns it.
        units: which.
        x: (..., F, ...) activations.
        axis: that of the F units.

    Raises:
        ValueError: if x has no such units.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"there is no axis {axis} in a tensor of shape {tuple(x.shape)}.")
    try:
        meant = chosen(units, x.shape[axis], x.device)
    except IndexError:
        count = x.shape[axis]
        raise ValueError(f"there are no units {units}: axis {axis} has {count}.") from None
    meant = meant.reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim))
    return torch.where(meant, mask, torch.ones_like(mask))


def weighed(x: Tensor, mask: Tensor) -> Tensor:
    """Return `x` where the mask is true and 0 elsewhere; for a float mask, their product."""
    if mask.dtype == torch.bool:
        return torch.where(mask, x, torch.zeros((), dtype=x.dtype, device=x.device))
    return x * mask
