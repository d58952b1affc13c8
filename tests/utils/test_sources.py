from __future__ import annotations

import sys
from pathlib import Path

import pytest

from routed_rl.utils.sources import defined_names, source_of, summary_of

SOURCE = '''"""A world of mine.

More of it.
"""
from elsewhere import Config, Gridworld as World
SIZE = 3
raise RuntimeError("this file must not be run")

def make(): ...

class Agent: ...
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay a package that fails when it is run where Python finds it."""
    folder = tmp_path / "package_of_mine"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('not this one either')\n")
    (folder / "world.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_modules_file_is_found_without_running_anything(package: Path) -> None:
    assert source_of("package_of_mine.world") == package / "world.py"
    assert source_of("package_of_mine") == package / "__init__.py"
    assert source_of("package_of_mine.nowhere") is None
    assert source_of("nowhere_at_all.world") is None
    assert "package_of_mine" not in sys.modules


def test_names_and_summary_are_read_without_running(package: Path) -> None:
    source = package / "world.py"
    assert defined_names(source) == {"Config", "World", "SIZE", "make", "Agent"}
    assert summary_of(source) == "A world of mine."


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    assert defined_names(broken) is None
    assert summary_of(broken).startswith("cannot be read: SyntaxError")
    assert defined_names(None) is None
    assert summary_of(None) == "cannot be found"
    plain = tmp_path / "plain.py"
    plain.write_text("x = 1\n")
    assert summary_of(plain) == "no description"
