"""Runs an example's command in this process, at a tiny size."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Command = Callable[..., str]
"""(example, flags ...) -> what it printed."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    without = "not extras" in config.option.markexpr
    return True if without and collection_path.name == "test_quarantine.py" else None


def in_this_process(
    job: Callable[..., Any], settings: Sequence[tuple[Any, ...]], jobs: int
) -> list[Any]:
    return [job(*setting) for setting in settings]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    def run(example: ModuleType, *flags: str) -> str:
        """Run it with two seeds; see that it ends with a table and a picture."""
        path = tmp_path / "new" / "picture.png"
        monkeypatch.setattr(example, "run", in_this_process)
        monkeypatch.setattr(sys, "argv", ["example", "--seeds", "2", "--out", str(path), *flags])
        example.main()
        assert path.stat().st_size > 10_000
        table = capsys.readouterr().out
        assert "2 seeds" in table
        assert "nan" not in table
        assert str(path) in table
        return table

    return run
