"""Small policies have one thread while they train, and freed memory is kept for the next step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from routed_rl.utils import machine
from routed_rl.utils.machine import SMALL, few_threads_for, keep_memory

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
import resource
import torch
from routed_rl.utils.machine import keep_memory
print(keep_memory())
torch.ones(31 * 2**18)  # 31 MiB, and freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(30 * 2**18)  # 7,680 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
def test_kept_memory_is_used_again() -> None:
    command = [sys.executable, "-c", ALLOCATE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, pages = done.stdout.split()
    assert kept == "False" or int(pages) < 100  # another C library than glibc keeps nothing


@pytest.mark.parametrize(("variables", "asked"), [({}, 2), ({"MALLOC_ARENA_MAX": "2"}, 0)])
def test_memory_is_kept_unless_somebody_said_how_to_allocate(
    variables: dict[str, str], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(machine, "_mallopt", lambda *call: calls.append(call) or 1)
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert keep_memory() is bool(asked)
    trim_threshold, mmap_threshold = (-1, 2**30), (-3, 2**25)  # of malloc.h
    assert calls == [trim_threshold, mmap_threshold][:asked]


def test_a_c_library_without_it_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_mallopt", None)
    assert keep_memory() is False
