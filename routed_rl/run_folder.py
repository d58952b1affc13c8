"""What a run's folder says of the run, beside its curves and its result."""

from __future__ import annotations

import contextlib
import itertools
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from routed_rl import config
from routed_rl.settings import Choice


def new_folder(choice: Choice, seed: int, parent: Path = Path("runs")) -> Path:
    """Make a folder that was not there before: runs/ENV-AGENT-SEED, with a number behind it if need be."""
    base = f"{Path(choice.env.removesuffix('.py')).name}-{choice.agent}-{seed}"
    for number in itertools.count(1):
        folder = parent / (base if number == 1 else f"{base}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")


def describe(folder: Path, plain: Mapping[str, Any]) -> None:
    """Write config.yaml, command.txt and versions.txt of a run with these settings."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    config.write_yaml(folder / "config.yaml", plain)
    with (folder / "command.txt").open("a") as file:
        file.write(shlex.join(sys.argv) + "\n")
    packages = ("torch", "numpy", "gymnasium", "stable-baselines3", "minigrid", "tensorboard", "safetensors")
    versions = {"python": platform.python_version(), "commit": _commit()} | {p: metadata.version(p) for p in packages}
    (folder / "versions.txt").write_text("".join(f"{name} {version}\n" for name, version in versions.items()))


def charts(policies: list[str]) -> dict[str, dict[str, list[Any]]]:
    """Arrange TensorBoard's custom charts: each measure with all policies in one chart."""
    measures = {"return": "return", "unwatched": "return unwatched", "mean_length": "steps per episode"}
    return {
        "policies": {
            title: ["Multiline", [f"^eval/{name}/{tag}$" for name in policies]] for tag, title in measures.items()
        }
    }


def _commit() -> str:
    """Return the commit of the checkout, if this is one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
