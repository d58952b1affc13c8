"""Adam for routed gradients: one parameter group a module (expert, gate, head, critic)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn, optim


class RoutedAdam(optim.Adam):
    """Adam that leaves a group alone whose gradient is exactly zero, and clips each on its own.

    With a gradient of zeros, plain Adam would still move an expert, by momentum and weight decay.
    Clipped together, what one expert learns would scale another's step.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 3e-4,
        *,
        weight_decay: float = 1e-4,
        max_grad_norm: float = 0.5,
        **settings: Any,
    ) -> None:
        """Prepare to optimise.

        Args:
            params: groups of parameters, each of which is clipped, or left alone, as a whole.
            lr: step size.
            weight_decay: coefficient. Without any the gate saturates, and an expert forgets where
                it is not chosen.
            max_grad_norm: largest gradient norm of each group.
            settings: whatever else `torch.optim.Adam` takes.
        """
        super().__init__(params, lr=lr, weight_decay=weight_decay, **settings)
        self.max_grad_norm = max_grad_norm

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step."""
        for group in self.param_groups:
            norm = nn.utils.clip_grad_norm_(group["params"], self.max_grad_norm)
            if norm == 0:
                # Adam passes over what has no gradient: neither momentum nor decay moves it.
                for parameter in group["params"]:
                    parameter.grad = None
        return super().step(closure)
