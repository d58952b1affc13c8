"""Several processes that train one run, started by torchrun: ranks 0 to W - 1.

Each steps its share of the environments and acts in it. Then all put their rollouts together, so
that each has the whole, and go on as one process would. Of an optimiser step each computes a share
of the forward and backward pass, and gradients are added up. All else is cheap, and each does it
for itself: from the same numbers all come to the same.

Without torchrun there is one rank, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from routed_rl.utils.errors import UserError, one_line

T = TypeVar("T")


class RankLostError(UserError):
    """Another process of the run has ended."""


def count() -> int:
    """Return how many ranks there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def index() -> int:
    """Return this process's rank."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes that torchrun started, if it started this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group()
    try:
        with contextlib.ExitStack() as stack:
            if index():  # what there is to say the first one says
                silence = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(contextlib.redirect_stdout(silence))
            yield
    finally:
        distributed.destroy_process_group()


def share(total: int, what: str) -> int:
    """Return each rank's share of a number.

    Raises:
        UserError: if it can't be split evenly.
    """
    if total % count():
        raise UserError(f"{what} is {total}: give a multiple of the {count()} processes.")
    return total // count()


def own(rows: Tensor) -> Tensor:
    """Return this rank's rows (B, ...) of all ranks' (W * B, ...)."""
    return rows.chunk(count())[index()]


def spread(rows: Tensor) -> Tensor:
    """Put this rank's rows (B, ...) where `own` finds them among (W * B, ...), zeros elsewhere."""
    if count() == 1:
        return rows
    everybody = rows.new_zeros(count() * len(rows), *rows.shape[1:])
    own(everybody).copy_(rows)
    return everybody


def gather(rows: Tensor, dim: int = 0) -> Tensor:
    """Put all ranks' rows together along a dimension, on every rank."""
    if count() == 1:
        return rows
    sent = rows.contiguous()
    if sent.dtype == torch.bool:
        return gather(sent.view(torch.uint8), dim).view(torch.bool)
    received = [torch.empty_like(sent) for _ in range(count())]
    with _together():
        distributed.all_gather(received, sent)
    return torch.cat(received, dim)


def add_up(parameters: Iterable[nn.Parameter], numbers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add up what ranks computed of one loss.

    Args:
        parameters: whose gradients to add up, in place. The same have one on each rank.
        numbers: scalars by name, of the same names on each rank.

    Returns:
        The sums of the numbers.
    """
    if count() == 1:
        return numbers
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    parts = [*gradients, *numbers.values()]
    whole = torch.cat([part.detach().flatten() for part in parts])
    with _together():
        distributed.all_reduce(whole)
    sums = whole.split([part.numel() for part in parts])
    for gradient, summed in zip(gradients, sums[: len(gradients)], strict=True):
        gradient.copy_(summed.view_as(gradient))
    return dict(zip(numbers, (s.squeeze(0) for s in sums[len(gradients) :]), strict=True))


def largest(number: int) -> int:
    """Return the largest of all ranks' numbers, on every rank."""
    if count() == 1:
        return number
    tensor = torch.tensor(number)
    with _together():
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return int(tensor)


def from_first(value: T) -> T:
    """Return rank 0's value, on every rank."""
    if count() == 1:
        return value
    values: list[Any] = [value]
    with _together():
        distributed.broadcast_object_list(values)
    return values[0]


def state_of_first(state: Any, device: torch.device) -> Any:
    """Return the state of rank 0's agent, on every rank and its device."""
    return state if count() == 1 else _copied(from_first(_copied(state)), device)


def everyones(value: Any) -> Any:
    """Return what of a checkpoint each rank has of its own: of several ranks a list, in order."""
    if count() == 1:
        return value
    values: list[Any] = [None] * count()
    with _together():
        distributed.all_gather_object(values, _copied(value))
    return values


def mine(value: Any) -> Any:
    """Take this rank's part of what `everyones` gave; None if there were more ranks, or fewer."""
    there = len(value) if isinstance(value, list) else 1
    if there != count():
        return None
    return value if there == 1 else value[index()]


def _copied(value: Any, device: torch.device | str = "cpu") -> Any:
    """Copy tensors in nested dicts and lists to a device, without what they are views of."""
    if isinstance(value, dict):
        return {name: _copied(own, device) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(own, device) for own in value]
    return value.detach().clone().to(device) if isinstance(value, Tensor) else value


@contextmanager
def _together() -> Iterator[None]:
    """Say in one line if another rank is not there any more."""
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(
            f"another process of this run has ended ({one_line(error)})."
        ) from error
