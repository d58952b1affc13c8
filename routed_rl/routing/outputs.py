"""What modules return: the tensors in it, and the same thing with other tensors."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class Place(NamedTuple):
    """Where in an output a tensor was found."""

    path: str
    """Such as "", "[0]" or ".logits"."""
    packed: PackedSequence | None = None
    """Whose data it is."""


Change = Callable[[Tensor, Place], Tensor]
"""Returns what is to stand at the place of a tensor."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)
"""What may stand beside tensors, and has none."""


class OpaqueOutputError(ValueError):
    """An output holds an object whose tensors cannot be seen."""


def changed(output: Any, change: Change, only: int | str | None = None) -> Any:
    """Return an output of the same types, with its tensors of real or complex numbers changed.

    Args:
        output: a tensor, or tuples, named tuples, lists, mappings, dataclasses and packed sequences
            of them, in one another.
        change: is called with every such tensor, in the order of the output.
        only: the one of several things that is meant, by its place or its name.

    Raises:
        OpaqueOutputError: if there is an object of another kind.
        ValueError: if there is nothing called `only`.
    """
    if only is None:
        return _changed(output, change, "")
    places = dict(_items(output))
    if only not in places:
        there = ", ".join(repr(place) for place in places) or "one thing alone"
        raise ValueError(f"its output has no {only!r}: there is {there}.")
    return _rebuilt(output, {only: _changed(places[only], change, _path("", output, only))})


def _changed(output: Any, change: Change, path: str) -> Any:
    if isinstance(output, Tensor):
        return change(output, Place(path)) if _is_number(output) else output
    if isinstance(output, PackedSequence):
        return output._replace(data=change(output.data, Place(path, output)))
    if isinstance(output, _PLAIN):
        return output
    if not _is_container(output):
        raise OpaqueOutputError(
            f"it returned {type(output).__name__} at output{path}, whose tensors are not seen: "
            "name the output that is meant, as in output='last_hidden_state', or leave it out."
        )
    return _rebuilt(
        output,
        {key: _changed(item, change, _path(path, output, key)) for key, item in _items(output)},
    )


def _is_number(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _is_container(output: Any) -> bool:
    is_record = dataclasses.is_dataclass(output) and not isinstance(output, type)
    return isinstance(output, tuple | list | Mapping) or is_record


def _items(output: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the places of a container and what is there."""
    if isinstance(output, Mapping):  # such as the outputs of Hugging Face's models
        yield from output.items()
    elif isinstance(output, tuple | list):
        names = getattr(output, "_fields", range(len(output)))
        yield from zip(names, output, strict=True)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield field.name, getattr(output, field.name)


def _rebuilt(output: Any, items: dict[Any, Any]) -> Any:
    """Return a container of the same type with other things at some places."""
    if hasattr(output, "_replace"):
        return output._replace(**items)
    if isinstance(output, tuple | list):
        return type(output)([items.get(place, item) for place, item in _items(output)])
    rebuilt = copy.copy(output)
    for place, item in items.items():
        if isinstance(output, Mapping):
            rebuilt[place] = item
        else:
            object.__setattr__(rebuilt, place, item)  # also if it is frozen
    return rebuilt


def _path(path: str, output: Any, place: Any) -> str:
    by_name = isinstance(place, str) and not isinstance(output, Mapping)
    return f"{path}.{place}" if by_name else f"{path}[{place!r}]"


def batch_axis(module: nn.Module, path: str, *, of_input: bool = False) -> int:
    """Return the axis of samples in what torch's own modules return or take; 0 in all others.

    Recurrent layers, attention and transformers have their batch second, unless told otherwise, and
    hidden states always have.
    """
    if isinstance(module, nn.RNNBase):
        return 0 if path in ("", "[0]") and module.batch_first else 1
    if isinstance(module, nn.MultiheadAttention):
        weights = path == "[1]" and not of_input
        return 0 if module.batch_first or weights else 1
    return 1 if keeps_batch_second(module) else 0


def keeps_batch_second(module: nn.Module) -> bool:
    """Say whether inside a module the batch is the second axis."""
    if isinstance(module, nn.Transformer):
        return not module.batch_first
    if isinstance(module, nn.TransformerEncoder | nn.TransformerDecoder):
        return any(keeps_batch_second(layer) for layer in module.layers)
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return not module.self_attn.batch_first
    return False


def packed_rows(packed: PackedSequence, per_sample: Tensor) -> Tensor:
    """Return for each row of a packed sequence's data what its sample has.

    Args:
        packed: its data are (rows, F), all samples' first steps, then all second steps, ...
        per_sample: (N, ...).

    Returns:
        (rows, ...).
    """
    if packed.sorted_indices is not None:
        per_sample = per_sample[packed.sorted_indices]
    return torch.cat([per_sample[:count] for count in packed.batch_sizes.tolist()])


def belongs(path: str, only: int | str) -> bool:
    """Say whether a path lies in the output called `only`."""
    return any(
        path == start or path.startswith((start + "[", start + "."))
        for start in (f"[{only!r}]", f".{only}")
    )


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of real or complex numbers; objects of other kinds are passed over."""
    if isinstance(output, Tensor):
        if _is_number(output):
            yield output
    else:
        for _, item in _items(output):
            yield from tensors_in(item)


def may_be_positions(module: nn.Module, output: Any) -> bool:
    """Say whether a table's rows may be those of positions, (T,) or (T, T), and not samples."""
    if not isinstance(module, nn.Embedding):
        return False
    return output.ndim < 3 or output.shape[0] == output.shape[1]
