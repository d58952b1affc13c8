"""What may happen to a module: three mechanisms, each exact for every sample of a mixed batch.

- `Activations`: values pass, gradients stop. What computed them, and all below it, learns only from
  the samples that the mask lets through. The paper's mechanism.
- `Parameters`: gradients pass through, but the parameters learn only from these samples. SGTM
  (arXiv 2512.05648) finds that it leaks less.
- `Values`: a module's output is 0 where the mask is false, so nobody learns to rely on it there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from routed_rl.routing.gradients import route
from routed_rl.routing.masks import Mask, Which, as_mask, broadcast, for_units, weighed
from routed_rl.routing.outputs import Place, batch_axis, packed_rows

_CHANNELS_SECOND = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
)
"""Layers whose units are channels, on axis 1."""


@dataclass(frozen=True, kw_only=True)
class _OnTensors:
    """What `Activations` and `Values` have in common."""

    units: Which | None = None
    """Only these: features of the last axis, or channels of a convolution."""
    axis: int | None = None
    """The axis of the units, where it is another or cannot be known."""
    output: int | str | None = None
    """The one of several outputs that is meant, by its place or its name; else all of them."""
    at: Literal["output", "input"] = "output"
    """"input" for what the module is given: heads are units of an output projection's input."""
    batch_axis: int | None = None
    """The axis of samples, if it is not the first; torch's own layers are known."""

    def placed(self, mask: Mask, module: nn.Module, x: Tensor, place: Place) -> Tensor:
        """Give a mask as many axes as x, and restrict it to the units."""
        of_input = self.at == "input"
        axis = batch_axis(module, place.path, of_input=of_input)
        axis = axis if self.batch_axis is None else self.batch_axis
        try:
            placed = _placed(mask, axis, x, place)
        except ValueError as error:
            where = f"at {self.at}{place.path} " if place.path else ""
            others = " If that is not meant, name what is, as in output=0." if place.path else ""
            raise ValueError(f"{where}{error}{others}") from None
        if self.units is None:
            return placed
        axis = _unit_axis(module, x) if self.axis is None else self.axis
        return for_units(placed, self.units, x, axis)


@dataclass(frozen=True)
class Activations(_OnTensors):
    """Stop gradient through a module's output where the mask is false; or only through `units`.

    Floats multiply the gradient: 0.3 lets a part of it pass, -1 reverses it.
    """

    grad_mask: Mask

    def applied(self, module: nn.Module, x: Tensor, place: Place) -> Tensor:
        """Return x, whose gradient is routed."""
        return route(x, self.placed(self.grad_mask, module, x, place))


@dataclass(frozen=True)
class Values(_OnTensors):
    """Set a module's output to 0 where the mask is false; with `units`, these units only."""

    mask: Mask

    def applied(self, module: nn.Module, x: Tensor, place: Place) -> Tensor:
        """Return x, or 0 in its place."""
        return weighed(x, self.placed(self.mask, module, x, place))


@dataclass(frozen=True)
class Parameters:
    """Let parameters learn only where the mask is true; gradient passes through as ever.

    Floats multiply what they learn: 0.3 for a part of it, -1 to unlearn.
    """

    grad_mask: Mask
    rows: Which | None = None
    """Only these rows of each parameter, such as words of an embedding; others learn from all."""
    output: int | str | None = None
    """The one of several outputs that is meant; through others they learn from all samples."""
    at: Literal["inside", "module"] = "inside"
    """Where samples are told apart: in what the innermost module returns that uses a parameter, or
    in what the module returns that the key names. With `output` it is always the latter."""
    batch_axis: int | None = None
    """The axis of samples, if it is not the first; torch's own layers are known."""

    def placed(self, module: nn.Module, x: Tensor, place: Place) -> Tensor:
        """Give the mask as many axes as an output of a module."""
        axis = batch_axis(module, place.path) if self.batch_axis is None else self.batch_axis
        return _placed(self.grad_mask, axis, x, place)


Rule = Mask | Activations | Parameters | Values
"""What may happen to a module; a mask alone means `Activations`."""


def as_rule(rule: Any) -> Activations | Parameters | Values:
    """Return a rule whose mask is a tensor; a mask alone means `Activations`."""
    if isinstance(rule, Values):
        return replace(rule, mask=as_mask(rule.mask))
    if isinstance(rule, Activations | Parameters):
        return replace(rule, grad_mask=as_mask(rule.grad_mask))
    return Activations(as_mask(rule))


def _placed(mask: Mask, axis: int, x: Tensor, place: Place) -> Tensor:
    if place.packed is not None:
        samples = int(place.packed.batch_sizes[0])
        mask = packed_rows(place.packed, broadcast(mask, x.new_empty(samples)))
        return broadcast(mask, x)
    return broadcast(mask, x, axis)


def _unit_axis(module: nn.Module, x: Tensor) -> int:
    """Return the axis of a layer's units, if there is one that has that meaning."""
    if isinstance(module, _CHANNELS_SECOND):
        return 1
    if isinstance(module, nn.MultiheadAttention):
        raise ValueError(
            "attention mixes its heads before it returns: for features of its output say axis=-1, "
            "for heads route the input of its output projection."
        )
    if x.ndim < 2:
        raise ValueError(f"there are no units in a tensor of shape {tuple(x.shape)}.")
    mixed = x.ndim > 3 or any(isinstance(part, _CHANNELS_SECOND) for part in module.modules())
    if mixed and not isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
        raise ValueError(f"which axis of {tuple(x.shape)} are the units? Say it with axis=.")
    return x.ndim - 1
