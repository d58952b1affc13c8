"""Small policies have one thread while they train, and freed memory is kept for the next step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from routed_rl.utils.machine import SMALL, few_threads_for

LARGE = nn.Linear(SMALL // 256, 256)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_a_small_policy_has_one_thread_and_afterwards_all_is_as_before() -> None:
    with pytest.raises(KeyboardInterrupt), few_threads_for(nn.Linear(8, 8)):
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


def test_a_large_one_has_all() -> None:
    with few_threads_for(LARGE):
        assert torch.get_num_threads() == 2


def test_what_somebody_said_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with few_threads_for(nn.Linear(8, 8)):
        assert torch.get_num_threads() == 2


ALLOCATE = """
import resource, sys
import torch
from routed_rl.utils.machine import keep_memory
kept = sys.argv[1] == "keep" and keep_memory()
def step():
    [torch.ones(2**18) for _ in range(20)]  # 20 MiB, which is 5,120 pages, and all are freed
for _ in range(5):
    step()
pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - pages)
"""


def new_pages(wanted: str, **environment: str) -> tuple[bool, int]:
    """Return whether memory was kept, and how many new pages ten steps needed."""
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATE, wanted],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = done.stdout.split()
    return kept == "True", int(count)


@pytest.mark.slow
def test_kept_memory_is_used_again() -> None:
    kept, count = new_pages("keep")
    if kept:  # with glibc
        assert count < 100
        assert new_pages("leave")[1] > 10_000


@pytest.mark.slow
def test_who_said_how_to_allocate_is_obeyed() -> None:
    assert not new_pages("keep", MALLOC_ARENA_MAX="2")[0]
