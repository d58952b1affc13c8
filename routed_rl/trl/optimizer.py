"""AdamW whose steps keep the scales that routing gave to gradients.

Adam divides a gradient's mean by the root of its mean square. So a gradient that routing made
smaller, because a part of the samples may not teach, is made large again. Here the mean is that of
the routed gradient, and the mean square that of the gradient without routes: a region that learns
from half of the samples takes about half a step. (shawnghu/small-rl calls it a split moment.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW


class SplitAdamW(AdamW):
    """AdamW (arXiv 1711.05101) with a second moment of other gradients.

    Args:
        params: parameters or groups of them, as for any optimizer.
        unrouted: id of a parameter -> its gradient without routes, as it is when `step` is called;
            parameters that are not in it have their own.
        **options: `lr`, `betas`, `eps`, `weight_decay`.
    """

    def __init__(self, params: Any, unrouted: Mapping[int, Tensor], **options: Any) -> None:
        """Begin without moments."""
        super().__init__(params, **options)
        self._unrouted = unrouted

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; a parameter without a gradient stays, and so do its moments."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: nn.Parameter, group: Mapping[str, Any]) -> None:
        """Move one parameter."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        routed = parameter.grad
        whole = self._unrouted.get(id(parameter), routed)
        first, second = group["betas"]
        state["step"] += 1
        state["exp_avg"].lerp_(routed, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(whole, whole, value=1 - second)
        steps = float(state["step"])
        mean = state["exp_avg"] / (1 - first**steps)
        root = (state["exp_avg_sq"] / (1 - second**steps)).sqrt().add_(group["eps"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(mean, root, value=-float(group["lr"]))
