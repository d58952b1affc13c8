"""How many threads a training takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 2**16
"""Parameters of a policy; that of default settings has half as many."""


@contextmanager
def few_for(policy: nn.Module) -> Iterator[None]:
    """Let a small policy have one thread, unless somebody said how many there shall be.

    Two are at most a fifth faster there. On a busy machine each waits for the others in each of
    hundreds of operations, and a run takes three to ten times as long.
    """
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in policy.parameters()) <= SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
