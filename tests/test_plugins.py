from __future__ import annotations

import importlib
import subprocess
import sys
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


def install(site: Path, source: str, entry: str = "rooms = my_rooms.world") -> None:
    """Lay a package with an entry point where Python finds it, without running it."""
    info = site / "my_rooms-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rooms\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[routed_rl.plugins]\n{entry}\n")
    (site / "my_rooms").mkdir()
    (site / "my_rooms" / "__init__.py").write_text("LOADED = True\n")
    (site / "my_rooms" / "world.py").write_text(source)
    importlib.invalidate_caches()


def test_an_installed_plugin_is_listed_without_being_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, '"""Rooms of mine."""\nfrom envs.gridworld import Config, make\n')
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins()
    assert "rooms" in plugins.names("envs")
    assert "rooms" not in plugins.names("agents")
    assert plugins.summary("envs", "rooms") == "Rooms of mine."
    assert "my_rooms" not in sys.modules
    assert plugins.load("envs", "rooms").Config().rows == 5
    for name in ("my_rooms", "my_rooms.world"):
        del sys.modules[name]


def test_an_entry_point_that_leads_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "", entry="rooms = my_rooms.elsewhere")
    monkeypatch.syspath_prepend(tmp_path)
    assert Plugins().summary("envs", "rooms") == "cannot be found"
    with pytest.raises(UserError, match=r"cannot import plugin rooms from package my-rooms \(ModuleNotFoundError"):
        Plugins().load("envs", "rooms")


def test_help_of_an_installed_plugin_that_needs_torch_while_it_is_imported(tmp_path: Path) -> None:
    source = (
        '"""Rooms."""\nfrom dataclasses import dataclass\nimport torch\nSIZE = int(torch.zeros(3).numel())\n'
        "@dataclass(frozen=True)\nclass Config:\n    oversight: float = 0.1\n    rooms: int = SIZE\n"
        "def make(config, num_envs, *, seed, device): ...\n"
    )
    install(tmp_path, source)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['train.py', '--env', 'rooms', '--help']\n"
    code += "from routed_rl.start import script; script()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--env.rooms" in done.stdout
    assert "3" in done.stdout.split("--env.rooms")[1][:80]


def test_files_of_the_current_folder_are_found_and_ours_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "here.py").write_text('"""Here."""\nfrom envs.gridworld import Config, make\n')
    (tmp_path / "envs" / "gridworld.py").write_text("def make(): ...\n")
    (tmp_path / "envs" / "settings.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    plugins = Plugins()
    assert {"here", "gridworld"} <= set(plugins.names("envs"))
    assert "settings" not in plugins.names("envs")
    assert plugins.load("envs", "here").Config().rows == 5
    assert plugins.load("envs", "gridworld").__name__ == "envs.gridworld"
