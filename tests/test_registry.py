"""Environments and agents are found by name, wherever they are, and none is run before its time."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from routed_rl.agents import naive
from routed_rl.envs import gridworld
from routed_rl.registry import Foreign, Registry, identify
from routed_rl.utils.errors import UserError

AGENT = '"""A copy of an agent.\n\nMore."""\nfrom routed_rl.agents.routed import Agent, Config\n'
WORLD = "from routed_rl.envs.gridworld import Config, make\n"


def test_files_of_both_folders_are_found_with_their_first_line() -> None:
    registry = Registry()
    assert "gridworld" in registry.names("envs")
    assert "routed" in registry.names("agents")
    assert not any(name.startswith("_") for name in registry.names("envs"))
    assert registry.summary("agents", "routed").startswith("Gradient-routed mixture")
    assert registry.load("envs", "gridworld") is gridworld
    assert registry.load("agents", "naive") is naive


def test_a_file_given_by_path_is_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(AGENT)
    registry = Registry([str(path)])
    assert "mine" in registry.names("agents")
    assert "mine" not in registry.names("envs")
    assert registry.summary("agents", "mine") == "A copy of an agent."
    assert registry.load("agents", "mine").Config().gate is True


def test_a_file_that_is_given_goes_before_ours(tmp_path: Path) -> None:
    path = tmp_path / "gridworld.py"
    path.write_text(f"{WORLD}mine = True\n")
    assert Registry([str(path)]).load("envs", "gridworld").mine is True


def test_a_module_is_given_by_its_dotted_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meadow_of_mine.py").write_text(WORLD)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(["meadow_of_mine"])
    assert registry.load("envs", "meadow_of_mine") is sys.modules.pop("meadow_of_mine")


def test_an_environment_can_be_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rooms.py"
    path.write_text(WORLD)
    assert Registry().load("envs", str(path)).Config is gridworld.Config
    with pytest.raises(UserError, match="there is no agent"):
        Registry().load("agents", str(path))


def test_what_is_not_ours_is_looked_for_elsewhere() -> None:
    lake = ModuleType("Lake-v1")
    foreign = Foreign(lambda name: lake if name == "Lake-v1" else None, lambda: ["Lake-v1"])
    registry = Registry(foreign=foreign)
    assert registry.load("envs", "Lake-v1") is lake
    with pytest.raises(UserError, match=r"no environment 'Laek-v1'\. Did you mean 'Lake-v1'"):
        registry.load("envs", "Laek-v1")
    with pytest.raises(UserError, match=r"no agent 'Lake-v1'\. Known: absorbing,"):
        registry.load("agents", "Lake-v1")


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no environment 'gridwrold'\. Did you mean 'gridworld'"):
        Registry().load("envs", "gridwrold")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1\n", "neither make"),
        ("def make(): ...\n", "has no Config"),
        ("import nowhere_at_all\n", "cannot import"),
        ("def (", "cannot import"),
        (None, "cannot import plugin"),
    ],
)
def test_a_file_that_is_no_plugin_is_told(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "broken.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=words):
        Registry([str(path)])


def test_a_config_says_whose_it_is(tmp_path: Path) -> None:
    assert identify("envs", gridworld.Config()) == ("gridworld", None)
    assert identify("agents", naive.Config()) == ("naive", None)
    path = tmp_path / "mine.py"
    path.write_text(
        "from routed_rl.agents import naive\n"
        "class Config(naive.Config): ...\n"
        "class Agent(naive.Agent): ...\n"
    )
    config = Registry([str(path)]).load("agents", "mine").Config()
    assert identify("agents", config) == ("mine", str(path))
    with pytest.raises(UserError, match=r"does not say which agent it is of: pass Named"):
        identify("agents", gridworld.Config())


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


def test_an_installed_plugin_is_listed_without_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, f'"""Rooms of mine."""\n{WORLD}')
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    assert "rooms" in registry.names("envs")
    assert "rooms" not in registry.names("agents")
    assert registry.summary("envs", "rooms") == "Rooms of mine."
    assert "my_rooms" not in sys.modules
    assert registry.load("envs", "rooms").Config().rows == 5
    for name in ("my_rooms", "my_rooms.world"):
        del sys.modules[name]


def test_an_entry_point_that_leads_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "", entry="rooms = my_rooms.elsewhere")
    monkeypatch.syspath_prepend(tmp_path)
    assert Registry().summary("envs", "rooms") == "cannot be found"
    words = r"cannot import plugin rooms from package my-rooms \(ModuleNotFoundError"
    with pytest.raises(UserError, match=words):
        Registry().load("envs", "rooms")


def test_help_of_an_installed_plugin_that_needs_torch_while_it_is_imported(tmp_path: Path) -> None:
    source = (
        '"""Rooms."""\n'
        "from dataclasses import dataclass\n"
        "import torch\n"
        "SIZE = int(torch.zeros(3).numel())\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    oversight: float = 0.1\n"
        "    rooms: int = SIZE\n"
        "def make(config, num_envs, *, seed, device): ...\n"
    )
    install(tmp_path, source)
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "sys.argv = ['train.py', '--env', 'rooms', '--help']\n"
        "from routed_rl.cli.entry import script\n"
        "script()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.replace("│", " ").split())  # however wide the columns are
    assert "--env.rooms INT (default: 3)" in words


def test_files_of_the_current_folder_are_found_and_ours_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "here.py").write_text(f'"""Here."""\n{WORLD}')
    (tmp_path / "envs" / "gridworld.py").write_text("def make(): ...\n")
    (tmp_path / "envs" / "settings.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    registry = Registry()
    assert {"here", "gridworld"} <= set(registry.names("envs"))
    assert "settings" not in registry.names("envs")
    assert registry.load("envs", "here").Config().rows == 5
    assert registry.load("envs", "gridworld").__name__ == "routed_rl.envs.gridworld"


def test_a_file_that_cannot_be_asked_for_a_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("def __getattr__(name): raise KeyError(name)\n")
    with pytest.raises(UserError, match=r"odd\.py cannot be asked for make \(KeyError: 'make'\)"):
        Registry((str(tmp_path / "odd.py"),))


def test_a_file_may_hide_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "hidden_place.py").write_text(f'"""Hidden."""\n{WORLD}del __file__\n')
    registry = Registry((str(tmp_path / "hidden_place.py"),))
    assert registry.summary("envs", "hidden_place") == "Hidden."


@pytest.mark.parametrize("line", ["Config = None", "class Config: pass", "make = 3"])
def test_what_is_no_dataclass_and_what_cannot_be_called_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "odd.py").write_text(f"{WORLD}{line}\n")
    with pytest.raises(UserError, match=r"odd\.py: Config must be a dataclass, and make"):
        Registry((str(tmp_path / "odd.py"),))
