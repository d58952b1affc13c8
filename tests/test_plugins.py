from __future__ import annotations

from pathlib import Path

import pytest

from routed_rl.config import UserError
from routed_rl.plugins import Plugins

AGENT = '"""A copy of an agent.\n\nMore."""\nfrom agents.routed import Agent, Config\n'


def test_files_of_both_folders_are_found_with_their_first_line() -> None:
    plugins = Plugins()
    assert "gridworld" in plugins.names("envs")
    assert "routed" in plugins.names("agents")
    assert not any(name.startswith("_") for name in plugins.names("envs"))
    assert plugins.summary("agents", "routed").startswith("Gradient-routed mixture")


def test_a_file_given_by_path_is_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(AGENT)
    plugins = Plugins([str(path)])
    assert "mine" in plugins.names("agents")
    assert "mine" not in plugins.names("envs")
    assert plugins.summary("agents", "mine") == "A copy of an agent."
    assert plugins.load("agents", "mine").Config().gate is True


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no environment 'gridwrold'\. Did you mean 'gridworld'"):
        Plugins().load("envs", "gridwrold")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1\n", "neither make"),
        ("def make(): ...\n", "has no Config"),
        ("import nowhere_at_all\n", "cannot import"),
        ("def (", "cannot import"),
    ],
)
def test_a_file_that_is_no_plugin_is_told(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UserError, match=words):
        Plugins([str(path)])
    with pytest.raises(UserError, match="cannot import plugin"):
        Plugins([str(tmp_path / "missing.py")])
