"""Adam in torch's fused kernel, and clipped gradients, without what torch puts around them.

The numbers are those of `torch.optim.Adam(..., fused=True)` and `nn.utils.clip_grad_norm_`, to the
bit. That class imports a compiler when it is first used, which takes longer than a short run's
training. That function sorts gradients by device first, and scales by 1 too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_kernels: Any = torch  # private there, and what torch.optim calls
_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980), or AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        """Begin without moments.

        Args:
            parameters: what to train, all of one device.
            learning_rate: step size; may be set anew between steps.
            weight_decay: coefficient.
            decoupled: weights decay on their own (AdamW), and not as a part of the gradient.
        """
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._kernel = _kernels._fused_adamw_ if decoupled else _kernels._fused_adam_
        self._moments: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move what has a gradient; what has none stays as it is, and so do its moments."""
        moved = {i: p for i, p in enumerate(self.parameters) if p.grad is not None}
        if not moved:
            return
        for i, parameter in moved.items():
            if i not in self._moments:
                steps = torch.zeros((), device=parameter.device)
                zeros = torch.zeros_like(parameter), torch.zeros_like(parameter)
                self._moments[i] = (steps, *zeros)
        values: list[Any] = list(moved.values())
        gradients: list[Any] = [parameter.grad for parameter in moved.values()]
        steps, means, squares = zip(*(self._moments[i] for i in moved), strict=True)
        _kernels._foreach_add_(steps, 1)
        self._kernel(
            values,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.learning_rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=self._weight_decay,
            eps=_EPS,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the moments, by the parameters' numbers, as torch's Adam does."""
        names = ("step", "exp_avg", "exp_avg_sq")
        return {
            "state": {i: dict(zip(names, own, strict=True)) for i, own in self._moments.items()}
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, by this class or by torch's.

        Raises:
            ValueError: if it is of more parameters, or of others.
        """
        if any(i >= len(self.parameters) for i in state["state"]):
            raise ValueError(f"there are moments of more than {len(self.parameters)} parameters")
        self._moments = {}
        for i, own in state["state"].items():
            parameter = self.parameters[i]
            moments = (own["exp_avg"], own["exp_avg_sq"])
            if any(moment.shape != parameter.shape for moment in moments):
                raise ValueError(f"the moments of parameter {i} are of another shape")
            mean, square = (moment.to(parameter, copy=True) for moment in moments)
            steps = own["step"].to(parameter.device, copy=True)
            self._moments[i] = (steps, mean, square)


@torch.no_grad()
def clip_grad_norm(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Scale the gradients of parameters, all of one device, to a norm of at most `most` in all."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    norm = torch.linalg.vector_norm(torch.stack(_kernels._foreach_norm(gradients)))
    factor = most / (norm + 1e-6)
    if not factor >= 1:  # also where it is not a number
        _kernels._foreach_mul_(gradients, factor)
