"""What a run's folder says of the run, beside its curves and its checkpoints."""

from __future__ import annotations

import contextlib
import itertools
import json
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from routed_rl.evaluation.report import Report
from routed_rl.training.checkpoint_selector import CHOICES
from routed_rl.training.settings import RunConfig, without_folders
from routed_rl.utils import ranks
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import LOCK, demand, demand_numbers, locked, parse_json, write_text
from routed_rl.utils.settings import to_name, write_yaml

PACKAGES = (
    *("torch", "numpy", "gymnasium", "stable-baselines3", "minigrid", "tensorboard"),
    "safetensors",
)
"""Whose versions are noted."""
RESULT = "result.json"
"""The file that a run has when it has come to its end."""
LONGEST_NAME = 80
"""Characters of a run's name."""


class BestCheckpoint(TypedDict):
    """A checkpoint that was the best by some choice."""

    env_steps: int
    policies: dict[str, Report]


class RunResult(TypedDict):
    """What result.json holds."""

    env: str
    agent: str
    seed: int
    env_steps: int
    train_seconds: float
    labelled_episodes: int
    happened: NotRequired[dict[str, int]]
    labelled: NotRequired[dict[str, int]]
    sees_everything: bool
    deployed: str
    policies: dict[str, Report]
    references: dict[str, float]
    best_by_labels: NotRequired[BestCheckpoint]
    best_by_truth: NotRequired[BestCheckpoint]


def write_result(path: Path, result: RunResult) -> None:
    """Write result.json."""
    plain: dict[str, Any] = dict(result)
    plain["policies"] = _to_json(result["policies"])
    for name in CHOICES:
        if name in plain:
            plain[name] = plain[name] | {"policies": _to_json(plain[name]["policies"])}
    write_text(path, json.dumps(plain, indent=2) + "\n")


def read_result(path: Path) -> RunResult:
    """Read result.json.

    Raises:
        OSError, ValueError, KeyError, TypeError: if it is not there or not what it should be.
    """
    plain: Any = parse_json(path.read_text())
    plain["policies"] = _from_json(plain["policies"])
    demand_numbers(plain.setdefault("references", {}))
    demand(plain, _KINDS)
    best = [plain[name] for name in CHOICES if name in plain]
    for part in best:
        demand(part, {"env_steps": int, "policies": dict})
        part["policies"] = _from_json(part["policies"])
    for part in (plain, *best):
        if plain["deployed"] not in part["policies"]:
            raise ValueError(f"deployed is {plain['deployed']!r}, which is none of its policies")
    return plain


_KINDS: dict[str, type] = {
    **dict.fromkeys(("env", "agent", "deployed"), str),
    **dict.fromkeys(("seed", "env_steps", "labelled_episodes"), int),
    **{"train_seconds": float, "sees_everything": bool, "policies": dict},
}
"""Of what result.json has had in every version."""


def _to_json(reports: Mapping[str, Report]) -> dict[str, Any]:
    return {name: report.to_json() for name, report in reports.items()}


def _from_json(plain: Mapping[str, Any]) -> dict[str, Report]:
    demand(plain, {})
    return {name: Report.from_json(report) for name, report in plain.items()}


def run_name(config: RunConfig) -> str:
    """Name a run after its agent, its environment, what was changed, and its seed.

    Changes that would make the name too long are counted.
    """
    names = config.names
    title = [without_folders(names.agent), without_folders(names.env)]
    flags = {name: without_folders(value) for name, value in config.changed().items()}
    name = to_name(title, flags, config.settings.seed)
    kept = dict(flags)
    while len(name) > LONGEST_NAME and kept:
        kept.popitem()
        more = {"more": len(flags) - len(kept)}
        name = to_name(title, kept | more, config.settings.seed)
    return name


def new_folder(config: RunConfig, parent: Path = Path("runs")) -> Path:
    """Make a folder that was not there before: runs/NAME, and a number if need be."""
    base = run_name(config)
    for number in itertools.count(1):
        folder = parent / (base if number == 1 else f"{base}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")


def claim(config: RunConfig, folder: str | Path | None) -> Path:
    """Make the folder of a new run, one for all processes that train it together.

    Raises:
        UserError: if it holds something already.
    """
    return ranks.from_first(Path() if ranks.index() else _new(config, folder))


_BEGUN = {LOCK, "config.yaml.tmp"}
"""What a run has left that was killed before it had written its settings."""


def _new(config: RunConfig, folder: str | Path | None) -> Path:
    """Make the folder of a new run."""
    if folder is None:
        return new_folder(config)
    path = Path(folder)
    try:
        if path.exists() and (not path.is_dir() or {one.name for one in path.iterdir()} - _BEGUN):
            raise UserError(
                f"{path} exists already: give a new --run-dir, or go on with "
                f"--resume {shlex.quote(str(path))}."
            )
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {str(path)[:200]} ({error.strerror}): give another --run-dir."
        ) from None
    return path


@contextlib.contextmanager
def to_write_into(folder: Path) -> Iterator[Path]:
    """Hold a run's folder; of several processes that train, all others get one to throw away."""
    if ranks.index():
        with tempfile.TemporaryDirectory() as own:
            yield Path(own)
    else:
        with locked(folder):
            yield folder


def release(folder: Path) -> None:
    """Remove the folder of a run that wrote nothing into it."""
    with contextlib.suppress(OSError):  # somebody else may have it by now
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()


def describe(folder: Path, plain: Mapping[str, Any]) -> None:
    """Write config.yaml, command.txt and versions.txt of a run with these settings."""
    write_yaml(folder / "config.yaml", plain)  # first: from then on the run can be resumed
    (folder / "checkpoints").mkdir(exist_ok=True)
    commands = folder / "command.txt"
    before = commands.read_text() if commands.exists() else ""
    write_text(commands, f"{before}{shlex.join(_command())}\n")
    versions = {"python": platform.python_version(), "commit": _commit()}
    versions |= {package: metadata.version(package) for package in PACKAGES}
    lines = [f"{name} {version}\n" for name, version in versions.items()]
    write_text(folder / "versions.txt", "".join(lines))


def _command() -> list[str]:
    """Return this program's command, also if it was `python -m`."""
    program, *rest = sys.argv
    path = Path(program)
    return ["python", "-m", path.parent.name, *rest] if path.name == "__main__.py" else sys.argv


def _commit() -> str:
    """Return the commit of the checkout, if this is one."""
    folder = str(Path(__file__).parent)
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
