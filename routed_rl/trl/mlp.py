"""Hidden units that an adapter adds to a gated MLP, as a layer of PEFT's.

y = down(act(gate(x)) * up(x)) has as many independent terms as hidden units, so that of more units
is the sum of two MLPs. Therefore what an adapter learnt can be merged into a plain, wider MLP.
LoRA was found less stable under routing (shawnghu/small-rl, its notes on dual adapters).
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

_NARROW = ("gate_proj", "up_proj")
_PARTS = (*_NARROW, "down_proj")


def gated_mlps(model: nn.Module) -> dict[str, nn.Module]:
    """Return the MLPs of a model that an adapter can add units to, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, "act_fn")
        and all(isinstance(getattr(module, part, None), nn.Linear) for part in _PARTS)
    }


class MlpAdapter(nn.Module, LoraLayer):
    """An MLP beside which each adapter has some units of its own. At first they say nothing."""

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, config: LoraConfig, **kwargs: Any
    ) -> None:
        """Begin with one adapter.

        Args:
            base_layer: with `gate_proj`, `up_proj`, `down_proj` and `act_fn`.
            adapter_name: of the first.
            config: of PEFT's.
            **kwargs: `r`, the number of units, `lora_alpha`, and what else PEFT hands on.
        """
        super().__init__()
        LoraLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        units, alpha = kwargs.pop("r"), kwargs.pop("lora_alpha")
        self.update_layer(adapter_name, units, alpha, config)

    def _get_in_out_features(self, module: Any) -> tuple[int, int]:
        width = module.gate_proj.in_features
        return width, width

    def update_layer(
        self, adapter_name: str, r: int, lora_alpha: int, config: LoraConfig, **_: Any
    ) -> None:
        """Add an adapter of `r` units."""
        if r <= 0:
            raise ValueError(f"an adapter of {r} units: give it one or more.")
        width: Any = self.in_features
        self.r[adapter_name] = r
        self.lora_alpha[adapter_name] = lora_alpha
        self.scaling[adapter_name] = lora_alpha / r
        self.use_rslora[adapter_name] = self.lora_bias[adapter_name] = False
        self.lora_dropout[adapter_name] = nn.Dropout(config.lora_dropout)
        narrow = nn.ModuleDict({part: nn.Linear(width, r, bias=False) for part in _NARROW})
        wide = nn.Linear(r, width, bias=False)
        nn.init.zeros_(wide.weight)
        base: Any = self.get_base_layer()
        like = base.gate_proj.weight
        for part in (narrow, wide):
            part.to(like.device, like.dtype if like.is_floating_point() else None)
        self.lora_A[adapter_name], self.lora_B[adapter_name] = narrow, wide
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the MLP and the active adapters say, (N, T, D)."""
        y = self.base_layer(x)
        if self.disable_adapters or self.merged:
            return y
        dtype = y.dtype
        for name in self.active_adapters:
            if name in self.lora_variant:
                y = self.lora_variant[name].forward(self, name, x, y)
            elif name in self.lora_A:
                y = y + self.adapter(name, self.lora_dropout[name](x))
        return y.to(dtype)

    def adapter(
        self,
        name: str,
        x: Tensor,
        *,
        learns: bool = True,
        twins: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Return what an adapter says.

        Args:
            name: which.
            x: (N, T, D).
            learns: by its parameters, or by their numbers alone.
            twins: tensors that stand in for parameters, by their ids.
        """

        def linear(layer: Any, x: Tensor) -> Tensor:
            weight = layer.weight if twins is None else twins[id(layer.weight)]
            return functional.linear(x, weight if learns else weight.detach())

        base: Any = self.base_layer
        own: Any = self.lora_A[name]
        down: Any = self.lora_B[name]
        x = x.to(down.weight.dtype)
        gate, up = (linear(own[part], x) for part in _NARROW)
        return linear(down, base.act_fn(gate) * up) * self.scaling[name]

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Widen the MLP by the units of some adapters; this cannot be taken back.

        Raises:
            ValueError: for `safe_merge`, if there are numbers that are not finite.
        """
        base: Any = self.base_layer
        for name in adapter_names or self.active_adapters:
            if name not in self.lora_A:
                continue
            own: Any = self.lora_A[name]
            down = self.lora_B[name].weight * self.scaling[name]
            if safe_merge and not torch.isfinite(down).all():
                raise ValueError(f"adapter {name!r} is not finite, and cannot be merged.")
            for part in _NARROW:
                _widen(getattr(base, part), own[part].weight, axis=0)
            _widen(base.down_proj, down, axis=1)
            if hasattr(base, "intermediate_size"):
                base.intermediate_size += self.r[name]
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Raise: a widened MLP is kept.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("units that were merged into an MLP stay there: merge a copy.")


def _widen(layer: nn.Linear, weight: Tensor, *, axis: int) -> None:
    """Give a linear layer more outputs (axis 0) or more inputs (axis 1)."""
    wider = torch.cat([layer.weight, weight.to(layer.weight)], dim=axis)
    layer.weight = nn.Parameter(wider, requires_grad=layer.weight.requires_grad)
    layer.out_features, layer.in_features = wider.shape
    if axis == 0 and layer.bias is not None:
        added = layer.bias.new_zeros(len(weight))
        layer.bias = nn.Parameter(torch.cat([layer.bias, added]))


def mlp_sizes(model: nn.Module) -> set[int]:
    """Return the numbers of hidden units that a model's MLPs have; usually it is one."""
    layers: list[Any] = list(gated_mlps(model).values())
    return {layer.gate_proj.out_features for layer in layers}
