"""What a training asks of its process: few threads, and memory that is kept."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 2**16
"""Parameters of a policy; that of default settings has half as many."""

_mallopt = getattr(ctypes.pythonapi, "mallopt", None)  # glibc's mallopt(3): this process's own
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@contextmanager
def few_threads_for(policy: nn.Module) -> Iterator[None]:
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


def keep_memory() -> bool:
    """Let this process keep freed memory for what is allocated next, instead of giving it back.

    A training frees and allocates the same tensors in each step. Memory from the system comes page
    by page, each of them cleared: a twentieth of the time. What is kept is at most what was in use
    before. Does nothing where the C library is not glibc, or the environment says how to allocate.

    Returns:
        Whether it did so.
    """
    if _mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    # 32 MiB is as much as glibc takes: larger pieces always come from the system.
    return bool(_mallopt(_TRIM_THRESHOLD, 2**30) and _mallopt(_MMAP_THRESHOLD, 2**25))
