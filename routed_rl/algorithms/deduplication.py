"""Which samples are the same: what a network computes from them need be computed only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from routed_rl.models.sparse import stable_order

_SPREAD = 0x1E3779B97F4A7C15  # odd, its bits in no pattern: 2**64 / golden ratio, less its top bit

_ROWS = 1024  # so many at a time fit a processor's caches
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def row_hashes(rows: Tensor) -> Tensor:
    """Hash each row to a number.

    Each number's bits are spread over 64 (1.0 alone has 23 zeros at its end), multiplied by random
    odd numbers, and added up: two different rows of a rollout share a hash with a probability of
    1e-10.

    Args:
        rows: (N, ...) of any type.

    Returns:
        (N,) int64.
    """
    flat = rows.flatten(1)
    (multipliers,) = _multipliers((flat.shape[1],), flat.device)
    return torch.cat([_hash(part, multipliers) for part in flat.split(_ROWS)])


def extended_hashes(hashes: Tensor, width: int, *columns: Tensor | None) -> Tensor:
    """Hash rows that go on with further columns.

    Args:
        hashes: (N,) int64, of their first columns.
        width: how many numbers these are.
        columns: (N, ...) of any type; None is skipped.

    Returns:
        (N,) int64.
    """
    present = [column.flatten(1) for column in columns if column is not None]
    sizes = tuple(column.shape[1] for column in present)
    _, *multipliers = _multipliers((width, *sizes), hashes.device)
    for column, factors in zip(present, multipliers, strict=True):
        hashes = hashes + _hash(column, factors)
    return hashes


def _hash(column: Tensor, factors: Tensor) -> Tensor:
    """Hash rows (N, D) with D factors: (N,)."""
    bits = column.view(_BITS[column.itemsize]) if column.is_floating_point() else column
    word = bits.long() * _SPREAD
    # A product's low bits know little of its factors' high ones: fold the high half in.
    low, high = word.view(torch.int32).view(*word.shape, 2).unbind(-1)
    low ^= high
    return word.mul_(factors).sum(dim=1)


@cache
def _multipliers(sizes: tuple[int, ...], device: torch.device) -> Sequence[Tensor]:
    """Return random odd numbers, one for each number of a row; always the same."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(-(2**62), 2**62, (size,), generator=generator) for size in sizes]
    return [(numbers * 2 + 1).to(device) for numbers in drawn]


def unique_rows(hashes: Tensor) -> tuple[Tensor, Tensor]:
    """Pick one row of each kind.

    Args:
        hashes: (N,) int64, the same for rows of one kind.

    Returns:
        rows (M,), the number of one row of each kind; and index (N,), where in `rows` each row's
        kind is.
    """
    if hashes.device.type == "cpu":  # NumPy sorts 64 bits four times as fast as torch
        values, index = map(torch.from_numpy, np.unique(hashes.numpy(), return_inverse=True))
    else:
        values, index = hashes.unique(return_inverse=True)
    numbers = torch.arange(len(hashes), device=hashes.device)
    return torch.empty_like(values).scatter_(0, index, numbers), index


def shuffled_groups(group: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Order all rows at random, those of one group next to each other: (N,) int64.

    Args:
        group: (N,) int64, from 0 to below `count`.
        count: how many groups there are.
        generator: of the order.
    """
    place = torch.randperm(count, generator=generator, device=group.device)
    places = place.gather(0, group)
    if group.device.type != "cpu":
        return places.argsort(stable=True)
    return torch.from_numpy(stable_order(places.numpy(), count))


class AnswerCache:
    """Remembers what networks computed; whoever changes the networks must call `forget`.

    A table of `slots` hashes and answers; a newcomer takes the place of what was in its slot.
    """

    def __init__(self, compute: Callable[..., Tensor], *, slots: int = 2**15) -> None:
        """Remember `compute(*columns)`, (N, F)."""
        self._compute = compute
        self._hashes = torch.zeros(slots, dtype=torch.int64)
        self._answers = torch.zeros(slots, 0)
        self.forget()

    def __call__(self, hashes: Tensor, *columns: Tensor | None) -> Tensor:
        """Answer for N rows with these hashes (N,), of which only new ones are computed: (N, F)."""
        slot = hashes % len(self._hashes)
        new = (self._hashes.index_select(0, slot) != hashes).nonzero().squeeze(1)
        fresh = self._compute(*(None if x is None else x.index_select(0, new) for x in columns))
        if not self._answers.shape[1]:
            self._answers = fresh.new_zeros(len(self._hashes), fresh.shape[1])
        answers = self._answers.index_select(0, slot).index_copy_(0, new, fresh)
        # Where rows share a slot the last one stays. Of `answers[slot] = ...`, copied by several
        # threads, any may: index_copy_ keeps runs the same to the bit.
        self._answers.index_copy_(0, slot, answers)
        self._hashes.index_copy_(0, slot, hashes)
        return answers

    def forget(self) -> None:
        """Forget all answers: each slot gets a hash that belongs into another."""
        torch.arange(1, len(self._hashes) + 1, out=self._hashes)
