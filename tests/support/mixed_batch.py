"""A batch of three samples, and what it teaches a model under some rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.routing import routed

EVERYBODY = torch.ones(3, dtype=torch.bool)
NOBODY = ~EVERYBODY
FIRST = torch.tensor([True, False, False])


def batch(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)


def grads(model: nn.Module, x: Tensor, call: Callable[[Tensor], Any], rules: Any) -> list[Tensor]:
    """Return the gradients of a sum of squares: of the input first, then of the parameters."""
    with routed(model, rules):
        y = call(x)
        loss = sum(part.square().sum() for part in (y if isinstance(y, tuple) else (y,)))
        parameters = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, [x, *parameters], allow_unused=True)
    tensors = [x, *parameters]
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)]
