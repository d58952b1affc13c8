"""Small policies have one thread while they train."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from routed_rl.utils.threads import SMALL, few_for

LARGE = nn.Linear(SMALL // 256, 256)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_a_small_policy_has_one_thread_and_afterwards_all_is_as_before() -> None:
    with pytest.raises(KeyboardInterrupt), few_for(nn.Linear(8, 8)):
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


def test_a_large_one_has_all() -> None:
    with few_for(LARGE):
        assert torch.get_num_threads() == 2


def test_what_somebody_said_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with few_for(nn.Linear(8, 8)):
        assert torch.get_num_threads() == 2
