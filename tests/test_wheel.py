"""The wheel: built, installed alone in a new virtual environment, and used from an empty folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow

TINY = "--num-envs 16 --steps 512 --agent.hidden 8 --evaluations 1 --episodes 16"
OFFLINE = ("--no-index", "--no-deps")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this checkout on Python's path; return what it printed."""
    left_out = ("PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel; its dependencies are those of the Python that runs the tests."""
    place = tmp_path_factory.mktemp("wheel")
    build = ("--no-deps", "--no-build-isolation", "--wheel-dir", place)
    run(sys.executable, "-m", "pip", "wheel", ROOT, *build, cwd=place)
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", where, cwd=place).strip())
    before = {path.name for path in site.iterdir()}
    run(python, "-m", "pip", "install", *OFFLINE, *place.glob("*.whl"), cwd=place)
    new = {path.name for path in site.iterdir()} - before
    assert {name for name in new if not name.endswith(".dist-info")} == {"routed_rl"}
    assert not any((site / "routed_rl").rglob("test_*.py"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (place / "work").mkdir()
    return place


def routed_rl(place: Path, command: str) -> str:
    """Run the installed command in the empty folder."""
    script = place / "venv" / "bin" / "routed-rl"
    return run(script, *shlex.split(command), cwd=place / "work")


def python(place: Path, code: str) -> str:
    """Run code there."""
    return run(place / "venv" / "bin" / "python", "-c", code, cwd=place / "work").strip()


def test_every_command_works_there(place: Path) -> None:
    work = place / "work"
    assert python(place, "import routed_rl; print(routed_rl.__file__)").startswith(str(place))
    listed = routed_rl(place, "train --list")
    assert "gridworld" in listed
    assert "reward_model" in listed
    routed_rl(place, f"train --env gridworld --env.rows 3 --env.columns 3 --run-dir grid {TINY}")
    routed_rl(place, f"train --config board --env gridworld --run-dir board {TINY}")
    reports = json.loads(routed_rl(place, "evaluate grid --json"))
    assert list(reports) == ["mixture", "diamond", "ghost"]
    assert "gridworld keeps" in routed_rl(place, "check gridworld")
    assert "naive keeps" in routed_rl(place, "check --agent naive")
    routed_rl(place, "new-env mine")
    assert (work / "envs" / "mine.py").exists()
    assert "mine" in routed_rl(place, "train --list")
    routed_rl(place, "check mine")
    routed_rl(place, f"train --env mine --agent naive --run-dir trained {TINY}")
    assert (work / "trained" / "result.json").exists()


def test_the_python_api_works_there(place: Path) -> None:
    code = (
        "from routed_rl import load, train\n"
        "from routed_rl.agents import routed\n"
        "from routed_rl.envs import gridworld\n"
        "world = gridworld.Config(rows=3, columns=3)\n"
        "agent = routed.Config(hidden=(8,))\n"
        "run = train(world, agent, steps=512, num_envs=16, folder='runs/api')\n"
        "print(list(load('runs/api').result['policies']))\n"
    )
    assert python(place, code).splitlines()[-1] == "['mixture', 'diamond', 'ghost']"


def test_a_package_of_ones_own_is_listed_checked_and_trained(place: Path) -> None:
    """Install the package that docs/plugins.md shows, as it stands there."""
    package = place / "rooms"
    text = (ROOT / "docs" / "plugins.md").read_text()
    for name in ("pyproject.toml", "my_rooms/__init__.py", "my_rooms/rooms.py"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        block = text.split(f"`{name}`", 1)[1].split("```", 2)[1]
        path.write_text(block.split("\n", 1)[1])
    pip = (place / "venv" / "bin" / "python", "-m", "pip", "install")
    run(*pip, *OFFLINE, "--no-build-isolation", package, cwd=place / "work")
    assert "Four rooms" in routed_rl(place, "train --list")
    routed_rl(place, "check rooms")
    flags = "--num-envs 16 --steps 512 --agent.hidden 8 --evaluations 0 --episodes 8"
    routed_rl(place, f"train --env rooms {flags} --run-dir rooms-run")
    assert '"bat"' in (place / "work" / "rooms-run" / "result.json").read_text()
    code = (
        "import gymnasium\n"
        "rooms = gymnasium.make_vec('routed_rl.gym.to_gym:routed_rl/rooms-v0', 3)\n"
        "print(rooms.reset(seed=0)[0].shape)"
    )
    assert python(place, code) == "(3, 294)"
