"""The wheel: built, installed alone in a new virtual environment, and used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel; its dependencies are those of the Python that runs the tests."""
    place = tmp_path_factory.mktemp("wheel")
    build = ("-m", "pip", "wheel", ROOT, "--no-deps", "--no-build-isolation", "--wheel-dir", place)
    run(sys.executable, *build, cwd=place)
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip())
    before = {path.name for path in site.iterdir()}
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", *place.glob("*.whl"), cwd=place)
    new = {path.name for path in site.iterdir()} - before
    assert {name for name in new if not name.endswith(".dist-info")} == {"routed_rl"}
    assert not any((site / "routed_rl").rglob("test_*.py"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (place / "work").mkdir()
    return place


def test_every_command_works_there(place: Path) -> None:
    work, command = place / "work", place / "venv" / "bin" / "routed-rl"
    where = run(place / "venv" / "bin" / "python", "-c", "import routed_rl; print(routed_rl.__file__)", cwd=work)
    assert where.startswith(str(place))
    listed = run(command, "train", "--list", cwd=work)
    assert "gridworld" in listed
    assert "reward_model" in listed
    tiny = ("--num-envs", "16", "--steps", "512", "--agent.hidden", "8", "--evaluations", "1", "--episodes", "16")
    run(command, "train", "--env", "gridworld", "--env.rows", "3", "--env.columns", "3", *tiny, cwd=work)
    reports = json.loads(run(command, "evaluate", "runs/gridworld-routed-0", "--json", cwd=work))
    assert list(reports) == ["mixture", "diamond", "ghost"]
    assert "gridworld keeps" in run(command, "check", "gridworld", cwd=work)
    run(command, "new-env", "mine", cwd=work)
    assert (work / "envs" / "mine.py").exists()
    assert "mine" in run(command, "train", "--list", cwd=work)
    run(command, "check", "mine", cwd=work)
    run(command, "train", "--env", "mine", "--agent", "naive", *tiny, cwd=work)
    assert (work / "runs" / "mine-naive-0" / "result.json").exists()


def test_a_package_of_ones_own_is_listed_checked_and_trained(place: Path) -> None:
    """Install the package that docs/plugins.md shows, as it stands there."""
    package, work = place / "rooms", place / "work"
    text = (ROOT / "docs" / "plugins.md").read_text()
    for name in ("pyproject.toml", "my_rooms/__init__.py", "my_rooms/rooms.py"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        block = text.split(f"`{name}`", 1)[1].split("```", 2)[1]
        path.write_text(block.split("\n", 1)[1])
    python, command = place / "venv" / "bin" / "python", place / "venv" / "bin" / "routed-rl"
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", package, cwd=work)
    assert "Four rooms" in run(command, "train", "--list", cwd=work)
    run(command, "check", "rooms", cwd=work)
    tiny = ("--num-envs", "16", "--steps", "512", "--agent.hidden", "8", "--evaluations", "0")
    run(command, "train", "--env", "rooms", *tiny, "--episodes", "8", "--run-dir", "rooms-run", cwd=work)
    assert '"bat"' in (work / "rooms-run" / "result.json").read_text()
    code = "import gymnasium as g; print(g.make_vec('routed_rl.gym_view:routed_rl/rooms-v0', 3).reset(seed=0)[0].shape)"
    assert run(python, "-c", code, cwd=work).strip() == "(3, 294)"
