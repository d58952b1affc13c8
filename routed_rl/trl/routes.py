"""What a batch's flags let each adapter learn, by a few plain operations a layer.

An adapter says f(x; W). With a mask m of samples its layer computes

    f(x; W.detach()) + m * (f(x.detach(); W) - the same, detached)

which is f(x) forward, since what is added is 0. To x the whole gradient goes, to W that of the
samples that m lets through. It is what `Parameters(mask)` does for any module. But a language
model has hundreds of adapters, each so small that hooks would cost more than the adapter itself.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

from routed_rl.routing import Parameters, Rule, routed
from routed_rl.trl.adapters import BASE, QUARANTINE, RETAIN, region_of
from routed_rl.trl.mlp import MlpAdapter, linear

_BASE_KEY = "!*.lora_*"
"""The rule for all that is no adapter."""


class Masked:
    """Stands in for an adapter's own computation; PEFT calls that a variant."""

    mask: Tensor
    """(N,) or (N, T): bool, or float to multiply gradients by."""

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
                f"a layer with an adapter is given {tuple(x.shape)} for flags {tuple(leading)}, "
                "so that examples cannot be told apart: leave it out of target_modules."
            )
        mask = self.mask.view(*leading, *(1,) * (x.ndim - self.mask.ndim))
        given = module.lora_dropout[active_adapter](x)
        says = module.adapter if isinstance(module, MlpAdapter) else _lora_of(module)
        fixed = says(active_adapter, given, learns=False)
        learning = says(active_adapter, given.detach(), learns=True)
        return result + fixed + mask.to(fixed.dtype) * (learning - learning.detach())


def _lora_of(module: LoraLayer) -> Any:
    """Return what computes a linear layer's LoRA."""

    def says(name: str, x: Tensor, *, learns: bool) -> Tensor:
        down: Any = module.lora_A[name]
        up: Any = module.lora_B[name]
        x = module._cast_input_dtype(x, down.weight.dtype)  # type: ignore[operator]
        return linear(up, linear(down, x, learns=learns), learns=learns) * module.scaling[name]

    return says


class AdapterRoutes:
    """Both adapters of a model, and what each may learn while a block lasts."""

    def __init__(self, model: nn.Module) -> None:
        """Find the layers that have adapters, and what else is trained."""
        self._model = model
        self._variants = {name: Masked() for name in (RETAIN, QUARANTINE)}
        layers = [m for m in model.modules() if type(m) in (LoraLinear, MlpAdapter)]
        self._layers: list[tuple[Any, str]] = [
            (layer, name)
            for layer in layers
            for name in self._variants
            if name in layer.lora_A and name not in layer.lora_variant  # type: ignore[operator]
        ]
        parts = [part for layer, name in self._layers for part in (layer.lora_A, layer.lora_B)]
        covered = {id(parameter) for part in parts for parameter in part.parameters()}
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._others = [
            name for name, p in trained.items() if id(p) not in covered and region_of(name) != BASE
        ]
        self._trains_base = any(region_of(name) == BASE for name in trained)

    @contextmanager
    def routed(self, masks: Mapping[str, Tensor]) -> Iterator[None]:
        """Let each adapter learn only where its mask says so; one without a mask learns all.

        The base, where it is trained, learns what the retain adapter learns.
        """
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
