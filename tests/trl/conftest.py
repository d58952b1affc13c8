"""These tests import the extra `trl`: without the extras they are not even read."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if "not extras" in config.option.markexpr else None
