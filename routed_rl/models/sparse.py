"""Matrices of mostly zeros, such as grid observations: products with them as sums of a few rows.

A board of 100 numbers holds 3 to 5 ones. Its product with a first layer's weights is then the sum
of 3 to 5 rows of weights. That is several times less work than a dense product, and the weights'
gradient is as cheap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[Any]
MOST = 0.1
"""A larger share of numbers other than 0 makes the dense product faster."""


class Bags(NamedTuple):
    """Which rows of a table to sum, and with what weights, for each of N sums."""

    member: Tensor  # (Z,) int64, the rows to sum, sum after sum
    start: Tensor  # (N,) int64, where in `member` each sum begins
    weight: Tensor  # (Z,)

    def sum(self, table: Tensor) -> Tensor:
        """Sum rows of a table (D, F) into (N, F)."""
        if not len(self.member):  # embedding_bag refuses
            return table.new_zeros(len(self.start), table.shape[1])
        return functional.embedding_bag(
            self.member, table, self.start, mode="sum", per_sample_weights=self.weight
        )


class Sparse(NamedTuple):
    """A matrix (N, D) of mostly zeros, ready to be multiplied."""

    rows: Bags  # the N rows, as sums over D
    columns: Bags | None  # the D columns, as sums over N; needed for gradients only


def compact(x: Tensor) -> Sparse | Tensor:
    """Return observations as they are multiplied fastest.

    Args:
        x: (N, ...).

    Returns:
        Sparse (N, D), if x is on a CPU and mostly 0; else the dense x, flat or as it was.
    """
    # On a GPU a dense product is fast, and counting zeros would make the host wait for it.
    if x.device.type != "cpu" or not x.numel() or x.dtype == torch.bfloat16:
        return x
    x = x.flatten(1)
    numbers = x.detach().numpy()
    flat = np.flatnonzero(numbers != 0)  # NumPy is several times as fast as torch here
    if len(flat) > MOST * x.numel():
        return x
    row, column = np.divmod(flat, x.shape[1])
    weight = numbers.ravel()[flat]
    rows = _bags(row, column, weight, count=x.shape[0])
    if not torch.is_grad_enabled():
        return Sparse(rows, None)
    order = stable_order(column, x.shape[1])
    columns = _bags(column[order], row[order], weight[order], count=x.shape[1])
    return Sparse(rows, columns)


def stable_order(numbers: Array, count: int) -> Array:
    """Return where the smallest of numbers from 0 to below `count` is, then the next: (N,).

    Equal ones stay in their order.
    """
    # Of 16 bits NumPy sorts all digits at once, seventeen times as fast as torch sorts 64.
    key = numbers.astype(np.uint16) if count <= 2**16 else numbers
    return np.argsort(key, kind="stable")


def product(x: Sparse, table: Tensor) -> Tensor:
    """Compute x @ table, of (N, D) and (D, F); the gradient goes into the table."""
    if not torch.is_grad_enabled():
        return x.rows.sum(table)
    return _Product.apply(x, table)  # type: ignore[no-any-return]


def _bags(bag: Array, member: Array, weight: Array, *, count: int) -> Bags:
    """Put members into `count` bags, whose numbers ascend."""
    # A search finds where each bag begins, also one without any.
    start = np.searchsorted(bag, np.arange(count))
    return Bags(*map(torch.from_numpy, (member, start, weight)))


class _Product(torch.autograd.Function):
    """The gradient of x @ table is x.T @ gradient: sums of rows once more."""

    @staticmethod
    def forward(ctx: Any, x: Sparse, table: Tensor) -> Tensor:
        ctx.columns = x.columns
        return x.rows.sum(table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (gradient,) = gradients  # (N, F)
        # Observations get no gradient: nobody learns what is seen.
        return None, ctx.columns.sum(gradient.contiguous())
