"""What a batch's flags let each adapter learn.

It is what `routed_rl.routing.Parameters(mask)` does for any module. But a language model has
hundreds of adapters, each so small that hooks would cost more than the adapter itself. So a layer
of LoRA has a backward pass of its own, and an adapter f of an MLP is computed as

    f(x; W.detach()) + m * (f(x.detach(); W) - the same, detached)

which is f(x) forward, since what is added is 0. To x the whole gradient goes, to W that of the
samples that the mask m lets through.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Parameters, Rule, routed
from routed_rl.trl.adapters import BASE, QUARANTINE, RETAIN, region_of
from routed_rl.trl.mlp import MlpAdapter

_BASE_KEY = "!*.lora_*"
"""The rule for all that is no adapter."""


class Masked:
    """Stands in for an adapter's own computation; PEFT calls that a variant."""

    mask: Tensor
    """(N,) or (N, T): bool, or float to multiply gradients by."""

    def __init__(self, twins: Mapping[int, Tensor], names: Mapping[int, str]) -> None:
        """Begin.

        Args:
            twins: id of a parameter -> a leaf with its numbers, to which the gradient goes that it
                would have without routes; where there is none, nobody asks for that.
            names: id of a layer -> its name, for errors.
        """
        self._twins = twins
        self._names = names

    def forward(
        self, module: LoraLayer, active_adapter: str, x: Tensor, result: Tensor, **_: Any
    ) -> Tensor:
        """Return a layer's result with what an adapter says, (N, T, F).

        Raises:
            ValueError: if the layer is not given a row for each sample.
        """
        leading = self.mask.shape
        if x.ndim <= self.mask.ndim or x.shape[: self.mask.ndim] != leading:
            raise ValueError(
                f"{self._names[id(module)]} is given {tuple(x.shape)} for flags {tuple(leading)}, "
                "so that examples cannot be told apart: name it in exclude_modules of a LoraConfig."
            )
        mask = self.mask.view(*leading, *(1,) * (x.ndim - self.mask.ndim))
        given = module.lora_dropout[active_adapter](x)
        if not isinstance(module, MlpAdapter):
            down: Any = module.lora_A[active_adapter]
            up: Any = module.lora_B[active_adapter]
            scaling = module.scaling[active_adapter]
            twins = [self._twins.get(id(layer.weight)) for layer in (down, up)]
            return result + _Lora.apply(given, down.weight, up.weight, scaling, mask, *twins)
        fixed = module.adapter(active_adapter, given, learns=False)
        learning = module.adapter(active_adapter, given.detach())
        added = mask.to(fixed.dtype) * (learning - learning.detach())
        if self._twins:
            whole = module.adapter(active_adapter, given.detach(), twins=self._twins)
            added = added + (whole - whole.detach())
        return result + fixed + added


class _Lora(torch.autograd.Function):
    """A low-rank layer, y = s * x A' B', whose factors learn from some samples.

    With dh = s * g B they learn dB = s * g' (m h) and dA = (m dh)' x: masks meet what is as narrow
    as the rank.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, down: Tensor, up: Tensor, scaling: float, mask: Tensor, *_: Any
    ) -> Tensor:
        """Return y, (..., F), in the dtype that PEFT's own layer would have."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else down.dtype
        given, a, b = x.to(dtype), down.to(dtype), up.to(dtype)
        h = functional.linear(given, a)
        ctx.save_for_backward(given, h, a, b, mask)
        ctx.scaling = scaling
        return functional.linear(h, b) * scaling

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return what x gets, and what the factors learn."""
        x, h, a, b, mask = ctx.saved_tensors
        mask = mask.to(h.dtype)
        g = gradients[0].to(h.dtype)
        dh = (g @ b) * ctx.scaling
        # Autograd hands each on in the dtype of what it belongs to.
        dx = dh @ a if ctx.needs_input_grad[0] else None
        learnt: dict[int, Tensor] = {}
        for own, twin in ((1, 5), (2, 6)):
            for place, weight in ((own, mask), (twin, None)):
                if ctx.needs_input_grad[place]:
                    narrow = dh if own == 1 else h * ctx.scaling
                    narrow = narrow if weight is None else weight * narrow
                    pair = (narrow, x) if own == 1 else (g, narrow)
                    rows, columns = (part.flatten(0, -2) for part in pair)
                    learnt[place] = rows.t() @ columns
        return dx, learnt.get(1), learnt.get(2), None, None, learnt.get(5), learnt.get(6)


class AdapterRoutes:
    """Both adapters of a model, and what each may learn while a block lasts."""

    def __init__(self, model: nn.Module, *, keeps_unrouted: bool = False) -> None:
        """Find the layers that have adapters, and what else is trained.

        Args:
            model: with both adapters.
            keeps_unrouted: also find the gradients that adapters would have without routes.
        """
        self._model = model
        self._twins: dict[int, Tensor] = {}
        names = {id(module): name for name, module in model.named_modules()}
        self._variants = {name: Masked(self._twins, names) for name in (RETAIN, QUARANTINE)}
        layers = [m for m in model.modules() if type(m) in (LoraLinear, MlpAdapter)]
        self._layers: list[tuple[Any, str]] = [
            (layer, name)
            for layer in layers
            for name in self._variants
            if name in layer.lora_A  # type: ignore[operator]
            and name not in layer.lora_variant  # type: ignore[operator]
            and not layer.lora_bias[name]  # type: ignore[index]
        ]
        parts = [part for layer, name in self._layers for part in (layer.lora_A, layer.lora_B)]
        self._adapted = [parameter for part in parts for parameter in part.parameters()]
        covered = set(map(id, self._adapted))
        self._keeps_unrouted = keeps_unrouted
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._others = [name for name, p in trained.items() if id(p) not in covered]
        self._trains_base = any(region_of(name) == BASE for name in trained)

    @property
    def unrouted(self) -> dict[int, Tensor]:
        """Return the gradients without routes, by ids of parameters, since they were taken last."""
        kept = {key: twin.grad for key, twin in self._twins.items()}
        return {key: gradient for key, gradient in kept.items() if gradient is not None}

    def forget_unrouted(self) -> None:
        """Begin to add them up anew, with the numbers that parameters have by now."""
        self._twins.clear()

    @contextmanager
    def routed(self, masks: Mapping[str, Tensor]) -> Iterator[None]:
        """Let each adapter learn only where its mask says so; one without a mask learns all.

        The base, where it is trained, learns what the retain adapter learns.
        """
        if self._keeps_unrouted and not self._twins:
            for parameter in self._adapted:
                self._twins[id(parameter)] = parameter.detach().requires_grad_()
        entered = []
        for layer, name in self._layers:
            if name in masks:
                self._variants[name].mask = masks[name]
                layer.lora_variant[name] = self._variants[name]
                entered.append((layer, name))
        rules: dict[str, Rule] = {
            name: Parameters(masks[region_of(name)])
            for name in self._others
            if region_of(name) in masks
        }
        if self._trains_base and RETAIN in masks:
            rules[_BASE_KEY] = Parameters(masks[RETAIN])
        try:
            if rules:
                with routed(self._model, rules):
                    yield
            else:
                yield
        finally:
            for layer, name in entered:
                del layer.lora_variant[name]
