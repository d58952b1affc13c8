"""Samples to learn from. What samples ask of the networks is kept once for all that ask the same.

In a small world many steps of a rollout show the same observation (about 6,000 to 10,000 of 16,384
are distinct in the 5x5 grid), so a forward and backward over distinct inputs does half the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor


def rows_of(x: Tensor, index: Tensor) -> Tensor:
    """Return the rows of an index (N,)."""
    # On a CPU this is faster than x[index]. On a GPU its gradients are added up in any order.
    return x[index] if x.is_cuda else x.index_select(0, index)


class Inputs(NamedTuple):
    """M distinct rows of all that decides what the networks compute, and which learn from it."""

    obs: Tensor  # (M, *visible_shape) what the policy's preprocessing left
    grad_mask: Tensor | None = None  # (M, E + 1) bool, the modules that a row trains; None: all
    expert_weights: Tensor | None = None  # (M, E) that it was acted on with

    def take(self, index: Tensor) -> Inputs:
        """Return the rows of an index (N,)."""
        return self._make(None if x is None else rows_of(x, index) for x in self)


class Batch(NamedTuple):
    """N samples of M distinct inputs."""

    inputs: Inputs
    input_index: Tensor  # (N,) int64, the input of each sample
    action: Tensor  # (N,) int64, or (N, A) of either type
    log_prob: Tensor  # (N,) under the policy that acted
    advantage: Tensor  # (N,)
    value_target: Tensor  # (N,) what the critic should predict
    weight: Tensor  # (N,) how much the sample counts
    gate_target: Tensor | None = None  # (N,) int64, the expert to choose; below 0: not known
    gate_weight: Tensor | None = None  # (N,) how much its target counts; None: 1

    def take(self, index: Tensor) -> Batch:
        """Return the samples of an index, and the inputs that they need."""
        needed, input_index = _renumbered(rows_of(self.input_index, index), len(self.inputs.obs))
        of_samples: Any = (None if x is None else rows_of(x, index) for x in self[2:])
        return Batch(self.inputs.take(needed), input_index, *of_samples)

    def parts(self, most: int, *, index: int = 0, of: int = 1) -> Iterator[Batch]:
        """Yield all samples, each once, in batches of at most `most` distinct inputs.

        Of several processes, the one with this index gets its share of them; there must be no more
        than distinct inputs.
        """
        count = len(self.inputs.obs)
        number = of * -(-max(count, of) // (of * most))  # rounded up, for each process as many
        if number == 1:
            yield self
            return
        order = self.input_index.argsort()
        # So that all parts are about as large.
        firsts = torch.tensor([-(-k * count // number) for k in range(number)])
        begins = torch.searchsorted(self.input_index[order], firsts.to(order.device)).tolist()
        for begin, end in list(pairwise((*begins, len(order))))[index::of]:
            yield self.take(order[begin:end])


def _renumbered(index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Leave out what no number in an index (N,) names: `unique`, without sorting.

    Args:
        index: numbers from 0 to below `count`.
        count: how many there are.

    Returns:
        Those that are named (M,), in their order; and where each of the index is among them, (N,).
    """
    named = torch.zeros(count, dtype=torch.bool, device=index.device).index_fill_(0, index, True)
    return named.nonzero().squeeze(1), rows_of(named.cumsum(0) - 1, index)
