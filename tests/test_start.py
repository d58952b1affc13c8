from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def ask(*args: str, cwd: Path = ROOT) -> str:
    """Run a root script and say at its end whether torch was loaded."""
    code = (
        "import atexit, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, '.')\n"
        "atexit.register(lambda: print('torch loaded:', hasattr(sys.modules.get('torch'), '__version__')))\n"
        "from routed_rl.start import script; script()"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


def test_help_and_list_are_answered_without_torch() -> None:
    text = ask("train.py", "--help")
    assert "torch loaded: False" in text
    for flag in ("--steps", "--env.oversight", "--agent.learning-rate", "--agent.routes", "0.0003", "diamond ghost"):
        assert flag in text, flag
    assert "torch loaded: False" in ask("train.py", "--list")
    text = ask("train.py", "--env", "minigrid_oversight", "--help")
    assert "torch loaded: False" in text
    assert "--env.size" in text
    assert "--steer" in ask("evaluate.py", "--help")
    assert "train" in ask("routed-rl", "--help")


def test_a_plugin_is_imported_with_the_real_libraries(tmp_path: Path) -> None:
    plugin = tmp_path / "rooms.py"
    plugin.write_text(
        "import torch\nfrom dataclasses import dataclass\nTABLE = torch.zeros(2) + 1\n"
        "@dataclass(frozen=True)\nclass Config:\n    oversight: float = 0.1\n    rooms: int = int(TABLE.sum())\n"
        "def make(config, num_envs, *, seed, device): ...\n"
    )
    text = ask("train.py", "--plugin", str(plugin), "--env", "rooms", "--help")
    assert "torch loaded: True" in text
    assert "--env.rooms" in text


def test_a_file_that_needs_the_real_libraries_gets_them(tmp_path: Path) -> None:
    (tmp_path / "routed_rl").symlink_to(ROOT / "routed_rl")
    code = "import torch\nSIZE = int((torch.zeros(3) + 2).sum())\n"
    (tmp_path / "needs.py").write_text(code)
    script = (
        "import sys; sys.argv = ['train.py', '--help']\n"
        "from routed_rl import start\n"
        "def run():\n    import needs\n    sys.exit(needs.SIZE)\n"
        "start._run = run\nstart.script()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 6
