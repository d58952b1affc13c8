"""What many tests need: small worlds, and rollouts whose every number can be told by eye."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from helpers import train_tiny

torch.set_num_threads(1)
# Else all that was collected is looked through for garbage again and again: a tenth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables be as wide as where there is no terminal, whatever runs the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    train_tiny(folder, page=True)
    return folder
