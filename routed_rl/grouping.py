"""Which samples are the same: then what a network says of them need be computed only once (see `batch.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

_SPREAD = 0x1E3779B97F4A7C15  # odd, its bits in no pattern: 2**64 / golden ratio, less its top bit

_ROWS = 1024
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprints(*columns: Tensor | None) -> Tensor:
    """Hash each row to a number.

    Each number's bits are spread over 64 (1.0 alone has 23 zeros at its end), multiplied by random odd numbers,
    and added up: two different rows of a rollout share a hash with a chance of about 1e-10.

    Args:
        columns: (N, ...) of any type; a row is made of all of them. None is skipped.

    Returns:
        (N,) int64.
    """
    present = [column.flatten(1) for column in columns if column is not None]
    multipliers = _multipliers(tuple(column.shape[1] for column in present), present[0].device)
    parts = zip(*(column.split(_ROWS) for column in present), strict=True)
    return torch.cat([_hash(part, multipliers) for part in parts])


def _hash(columns: Sequence[Tensor], multipliers: Sequence[Tensor]) -> Tensor:
    """Hash rows, few enough to fit a processor's caches."""
    key = torch.zeros(len(columns[0]), dtype=torch.int64, device=columns[0].device)
    for column, factors in zip(columns, multipliers, strict=True):
        bits = column.view(_BITS[column.itemsize]) if column.is_floating_point() else column
        word = bits.long() * _SPREAD
        low, high = word.view(torch.int32).view(*word.shape, 2).unbind(-1)
        low ^= high
        key += word.mul_(factors).sum(dim=1)
    return key


@cache
def _multipliers(sizes: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """Return random odd numbers, one for each number of a row; always the same."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randint(-(2**62), 2**62, (size,), generator=generator) * 2 + 1).to(device) for size in sizes]


def representatives(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Pick one row of each kind.

    Args:
        keys: (N,) int64, the same for rows of one kind.

    Returns:
        rows (M,), the number of one row of each kind; and index (N,), where in `rows` each row's kind is.
    """
    values, index = keys.unique(return_inverse=True)
    rows = torch.empty_like(values).scatter_(0, index, torch.arange(len(keys), device=keys.device))
    return rows, index


def shuffled(keys: Tensor, generator: torch.Generator) -> Tensor:
    """Order all rows at random, rows of one kind next to each other: (N,) int64."""
    values, index = keys.unique(return_inverse=True)
    order = torch.randperm(len(values), generator=generator, device=keys.device)
    return order[index].argsort(stable=True)


class Memo:
    """Remembers what networks answered to an observation; whoever changes the networks must call `forget`.

    A table of `slots` fingerprints and answers; a newcomer takes the place of what was in its slot.
    """

    def __init__(self, answer: Callable[..., Tensor], *, slots: int = 2**15) -> None:
        """Remember `answer(*columns)`, (N, F)."""
        self._answer = answer
        self._keys, self._answers = torch.zeros(slots, dtype=torch.int64), torch.zeros(slots, 0)
        self.forget()

    def __call__(self, *columns: Tensor | None) -> Tensor:
        """Answer to N rows, of which only new ones are computed."""
        key = fingerprints(*columns)
        slot = key % len(self._keys)
        new = (self._keys[slot] != key).nonzero().squeeze(1)
        fresh = self._answer(*(None if column is None else column[new] for column in columns))
        if not self._answers.shape[1]:
            self._answers = fresh.new_zeros(len(self._keys), fresh.shape[1])
        answers = self._answers[slot].index_copy_(0, new, fresh)
        # Where rows share a slot the last one stays. Of `answers[slot] = ...`, copied by several threads, any may.
        self._answers.index_copy_(0, slot, answers)
        self._keys.index_copy_(0, slot, key)
        return answers

    def forget(self) -> None:
        """Forget all answers: each slot gets a key that belongs into another."""
        torch.arange(1, len(self._keys) + 1, out=self._keys)
