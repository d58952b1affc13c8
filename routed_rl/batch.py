"""Samples to learn from. What the networks are asked is kept once for all samples that ask the same.

In a small world many steps of a rollout show the same observation (about 6,000 to 10,000 of 16,384 are distinct
in the 5x5 grid), so a forward and backward over distinct inputs does half the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Inputs(NamedTuple):
    """All that decides what the networks answer, and which of them learns from it: M distinct rows."""

    obs: Tensor  # (M, *obs_shape)
    keep: Tensor | None = None  # (M, E + 1) bool, the modules that a row trains; None: all
    steer: Tensor | None = None  # (M, E) the weights that it was acted on with

    def take(self, index: Tensor | slice) -> Inputs:
        """Return the rows of an index."""
        return self._make(None if x is None else x[index] for x in self)


class Batch(NamedTuple):
    """N samples of M distinct inputs."""

    inputs: Inputs
    which: Tensor  # (N,) int64, the input of each sample
    action: Tensor  # (N,) int64 or (N, A) float
    log_prob: Tensor  # (N,) under the policy that acted
    advantage: Tensor  # (N,)
    target: Tensor  # (N,) what the critic should say
    weight: Tensor  # (N,) how much the sample counts
    expert: Tensor | None = None  # (N,) int64, the expert that the gate should choose; below 0: not known

    def take(self, index: Tensor) -> Batch:
        """Return the samples of an index, and the inputs that they need."""
        needed, which = self.which[index].unique(return_inverse=True)
        rest = (None if x is None else x[index] for x in self[2:])
        return self._make((self.inputs.take(needed), which, *rest))

    def parts(self, most: int) -> Iterator[Batch]:
        """Yield all samples, each once, in batches of at most `most` distinct inputs."""
        count = len(self.inputs.obs)
        if count <= most:
            yield self
            return
        order = self.which.argsort()
        size = -(-count // -(-count // most))
        begins = torch.searchsorted(self.which[order], torch.arange(0, count, size, device=order.device)).tolist()
        for begin, end in pairwise((*begins, len(order))):
            yield self.take(order[begin:end])
