"""What the parameters of common layers learn, from the layer's input and the output's gradient.

With these formulas a routed layer costs what a plain one does. Other modules are asked twice for a
gradient (`learners.py`), which gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing.rules import Parameters

Wanted = Set[str]
"""Names of parameters."""
Formula = Callable[[Any, Tensor, Tensor, Wanted], dict[str, Tensor]]
"""(layer, input, gradient of the output, wanted) -> parameter -> its gradient."""


def formula_of(layer: nn.Module, args: tuple[Any, ...], names: Wanted) -> Formula | None:
    """Return the formula for a layer that is called with `args`, or None.

    Only layers of exactly these types, whose forward nobody replaced, have one.
    """
    formula = _FORMULAS.get(type(layer))
    forward = vars(layer).get("forward", type(layer).forward)
    untouched = forward is _FORWARDS.get(type(layer)) and not layer._forward_pre_hooks
    if not untouched or len(args) != 1 or not names <= {"weight", "bias"}:
        return None
    x = args[0]
    fits = isinstance(x, Tensor) and x.layout == torch.strided and _FITS[type(layer)](layer, x)
    return formula if fits else None


def formula_for(module: nn.Module, args: tuple[Any, ...], slots: Sequence[Any]) -> Formula | None:
    """Return a layer's formula, if it has one that serves these slots and their masks.

    Args:
        module: is called.
        args: what with.
        slots: of `frames.Slot`, where it holds governed parameters.
    """
    if not slots or any(slot.holder is not module for slot in slots):
        return None
    # An optimizer that steps in such a hook must come after the layer's own backward pass.
    if any(slot.governed.parameter._post_accumulate_grad_hooks for slot in slots):
        return None
    formula = formula_of(module, args, {slot.name for slot in slots})
    rules = {rule for slot in slots for rule in slot.governed.rules}
    return formula if formula and all(_tells_apart(rule.rule, args[0]) for rule in rules) else None


def _tells_apart(rule: Parameters, x: Tensor) -> bool:
    """Say whether a mask is about leading axes of a layer's input, as it is of its output."""
    mask = rule.grad_mask
    assert isinstance(mask, Tensor)
    axes = x.ndim - 1 if x.is_floating_point() else x.ndim
    leading = mask.ndim <= axes and mask.shape == x.shape[: mask.ndim]
    return leading and rule.output is None and not rule.batch_axis


def _linear(layer: nn.Linear, x: Tensor, gradient: Tensor, wanted: Wanted) -> dict[str, Tensor]:
    rows = gradient.flatten(0, -2)  # (N ..., F)
    learnt = {}
    if "weight" in wanted:
        learnt["weight"] = rows.t() @ x.flatten(0, -2)
    if "bias" in wanted:
        learnt["bias"] = rows.sum(dim=0)
    return learnt


def _layer_norm(
    layer: nn.LayerNorm, x: Tensor, gradient: Tensor, wanted: Wanted
) -> dict[str, Tensor]:
    leading = tuple(range(x.ndim - len(layer.normalized_shape)))
    learnt = {}
    if "weight" in wanted:
        normalised = functional.layer_norm(x, layer.normalized_shape, eps=layer.eps)
        learnt["weight"] = (gradient * normalised).sum(dim=leading)
    if "bias" in wanted:
        learnt["bias"] = gradient.sum(dim=leading)
    return learnt


def _embedding(
    layer: nn.Embedding, ids: Tensor, gradient: Tensor, wanted: Wanted
) -> dict[str, Tensor]:
    padding = -1 if layer.padding_idx is None else layer.padding_idx
    learnt = torch.ops.aten.embedding_dense_backward(
        gradient, ids, layer.num_embeddings, padding, layer.scale_grad_by_freq
    )
    return {"weight": learnt}


def _convolution(layer: Any, x: Tensor, gradient: Tensor, wanted: Wanted) -> dict[str, Tensor]:
    _, weight, bias = torch.ops.aten.convolution_backward(
        gradient,
        x,
        layer.weight.detach().to(x.dtype),
        [layer.out_channels],
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.transposed,
        layer.output_padding,
        layer.groups,
        [False, "weight" in wanted, "bias" in wanted],
    )
    return {name: learnt for name, learnt in (("weight", weight), ("bias", bias)) if name in wanted}


def _dense(layer: nn.Module, x: Tensor) -> bool:
    # In other layouts torch sums up in another order if a weight needs no gradient.
    return x.is_floating_point() and x.ndim >= 2 and x.is_contiguous()


def _of_texts(layer: nn.Embedding, ids: Tensor) -> bool:
    # (T,) or (T, T) may be positions, whose samples cannot be told apart here.
    is_square = ids.ndim < 2 or ids.shape[0] == ids.shape[1]
    return not is_square and layer.max_norm is None and not layer.sparse


def _of_batch(layer: Any, x: Tensor) -> bool:
    plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return plain and x.is_floating_point() and x.ndim == 2 + len(layer.kernel_size)


_FORMULAS: Mapping[type, Formula] = {
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    nn.Embedding: _embedding,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
}
_FORWARDS = {kind: kind.forward for kind in _FORMULAS}
"""As they were when this was imported."""
_FITS: Mapping[type, Callable[[Any, Tensor], bool]] = {
    nn.Linear: _dense,
    nn.LayerNorm: _dense,
    nn.Embedding: _of_texts,
    nn.Conv1d: _of_batch,
    nn.Conv2d: _of_batch,
    nn.Conv3d: _of_batch,
}
