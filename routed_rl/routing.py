"""Gradient routing: decide, sample by sample, through which activations a gradient may flow.

Cloud et al., "Gradient Routing: Masking Gradients to Localize Computation in Neural Networks",
arXiv 2410.04332. torch only: nothing here knows about reinforcement learning.
"""

from __future__ import annotations

import torch
from torch import Tensor


def route(x: Tensor, keep: Tensor) -> Tensor:
    """Return `x` unchanged, but let gradient pass only where `keep` is true.

    The value is `x` to the bit; the gradient is exactly zero where `keep` is false, so whatever computed
    `x` learns only from the samples that it may learn from. (Paper, equation 1.)

    Args:
        x: activations (N, ...).
        keep: bool, of x's shape or of its leading axes; (N,) decides for whole samples.

    Returns:
        A tensor like `x`.

    Raises:
        ValueError: if `keep` is not bool or its shape is no leading part of x's shape.
    """
    if keep.dtype != torch.bool:
        raise ValueError(f"keep has dtype {keep.dtype}: pass a bool tensor, true where gradient may flow.")
    if keep.shape != x.shape[: keep.ndim]:
        raise ValueError(f"keep has shape {tuple(keep.shape)}, x has {tuple(x.shape)}: match x's leading axes.")
    return torch.where(keep.reshape(keep.shape + (1,) * (x.ndim - keep.ndim)), x, x.detach())
