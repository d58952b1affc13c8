"""Questions are answered without torch, unless a file needs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import counters
import pytest
from helpers import ROOT, run

from routed_rl import __version__
from routed_rl.cli import entry

ASK = """
import atexit, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, ".")
torch_is_real = lambda: hasattr(sys.modules.get("torch"), "__version__")
atexit.register(lambda: print("torch loaded:", torch_is_real()))
from routed_rl.cli.entry import script
script()
"""


def ask(*args: str, cwd: Path = ROOT) -> str:
    """Run a root script and say at its end whether torch was loaded."""
    command = [sys.executable, "-c", ASK, *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


def test_help_and_list_are_answered_without_torch() -> None:
    text = ask("train.py", "--help")
    assert "torch loaded: False" in text
    flags = ("--steps", "--env.oversight", "--agent.learning-rate", "--agent.routes")
    for word in (*flags, "0.002", "diamond ghost"):
        assert word in text, word
    assert "torch loaded: False" in ask("train.py", "--list")
    text = ask("train.py", "--env", "minigrid_oversight", "--help")
    assert "torch loaded: False" in text
    assert "--env.size" in text
    assert "--steer" in ask("evaluate.py", "--help")
    assert "train" in ask("routed-rl", "--help")


@pytest.mark.parametrize("command", ["routed-rl", "routed-rl train", "evaluate.py", "plot.py x"])
def test_the_version_is_answered_without_torch(command: str) -> None:
    text = ask(*command.split(), "--version")
    assert text.splitlines() == [f"routed_rl {__version__}", "torch loaded: False"]


def test_a_plugin_is_imported_with_the_real_libraries(tmp_path: Path) -> None:
    plugin = tmp_path / "rooms.py"
    plugin.write_text(
        "import torch\n"
        "from dataclasses import dataclass\n"
        "TABLE = torch.zeros(2) + 1\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    oversight: float = 0.1\n"
        "    rooms: int = int(TABLE.sum())\n"
        "def make(config, num_envs, *, seed, device): ...\n"
    )
    text = ask("train.py", "--plugin", str(plugin), "--env", "rooms", "--help")
    assert "torch loaded: True" in text
    assert "--env.rooms" in text


def test_a_file_that_needs_the_real_libraries_gets_them(tmp_path: Path) -> None:
    (tmp_path / "needs.py").write_text("import torch\nSIZE = int((torch.zeros(3) + 2).sum())\n")
    script = (
        "import sys\n"
        f"sys.path += [{str(ROOT)!r}, '.']\n"
        "sys.argv = ['train.py', '--help']\n"
        "from routed_rl.cli import entry\n"
        "def run():\n"
        "    import needs\n"
        "    sys.exit(needs.SIZE)\n"
        "entry.run = run\n"
        "entry.script()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 6


def stop(code: int) -> Callable[[], None]:
    """Make an answer that exits with a code."""

    def answer() -> None:
        sys.exit(code)

    return answer


def test_an_answer_that_fails_leaves_no_stand_ins_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finders = list(sys.meta_path)
    monkeypatch.setattr(sys, "meta_path", list(finders))
    entry.with_stand_ins(stop(2))
    entry.with_stand_ins(lambda: 1 / 0)
    assert sys.meta_path == finders
    for code in (0, entry.NOBODY_READS):
        with pytest.raises(SystemExit):
            entry.with_stand_ins(stop(code))


@pytest.mark.slow
def test_what_lies_in_the_current_folder_or_beside_a_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-P takes the current folder out of the search path, which `routed-rl` does not have."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helpers_of_mine.py").write_text("from counters import Counter\n")
    (tmp_path / "mine" / "my_env.py").write_text(
        "import helpers_of_mine\nclass Mine(helpers_of_mine.Counter): ...\n"
    )
    shutil.copy(counters.__file__, tmp_path / "mine")
    (tmp_path / "my_rooms.py").write_text(
        f"{Path(counters.__file__).read_text()}\n"
        "gymnasium.register('Rooms-v0', 'my_rooms:Counter')\n"
    )
    (tmp_path / "my_agent.py").write_text("from routed_rl.agents.naive import Agent, Config\n")
    small = "--num-envs 4 --steps 64 --agent.hidden 8 --evaluations 1 --episodes 4 --run-dir"
    monkeypatch.chdir(tmp_path)
    assert run("--env", "mine/my_env.py", *small.split(), "0") == 0
    flags = (
        "--env my_rooms:Rooms-v0 --env.outcomes late early "
        f"--env.outcome-fn my_rooms:late_or_second --plugin my_agent --agent my_agent {small} 1"
    )
    for command in (f"train {flags}", "evaluate 1 --episodes 4"):
        python = [sys.executable, "-P", "-m", "routed_rl", *command.split()]
        done = subprocess.run(python, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_streams_that_are_closed_are_empty_ones() -> None:
    command = f"{sys.executable} train.py --list <&- >&- 2>&-"
    assert subprocess.run(command, shell=True, cwd=ROOT, check=False).returncode == 0
