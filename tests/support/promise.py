"""The promise of a run's folder: whatever goes wrong, nothing is lost and no bit is another.

After any fault a run comes to the same bits by `--resume`, or by the same `--run-dir` again if it
had not written its settings. Where it stops by itself it says in one line what to do. What was
whole before is never gone or changed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from fault_server import Ended, Play, Server
from file_faults import Fault
from PIL import Image

RESUMED = "resumed to the bit"
TOLD = "one clear line"
ANEW = "started anew"
LOST = "lost"
DIFFERENT = "different"
UNCLEAR = "unclear"
VERDICTS = (RESUMED, TOLD, ANEW, LOST, DIFFERENT, UNCLEAR)
"""How it can end after a fault; the last three break the promise."""
GROW = {"metrics.csv", "episodes.csv", "arrows.jsonl", "command.txt"}
"""Files that get longer, beside TensorBoard's."""
ENDS = {"versions.txt": "\n", "command.txt": "\n", "report.html": "</html>\n"}
"""How files end that are whole."""
NOTES = ("warning: ", "left out of result.json: ", "no report.html: ")
"""How lines on stderr begin that are no errors."""
AGENT = os.environ.get("AGENT", "naive")
"""Which agent trains: `make faults AGENT=routed`."""
TINY = (
    *("--agent", AGENT, "--env.rows", "2", "--env.columns", "2", "--env.oversight", "1"),
    *("--num-envs", "8", "--agent.hidden", "4", "--agent.rollout-steps", "8", "--episode-log"),
    *("--steps", "192", "--evaluations", "2"),
)
"""Flags of a run of three updates that leaves every kind of file."""


class BrokenPromiseError(Exception):
    """What a fault did that none may do."""

    def __init__(self, verdict: str, note: str) -> None:
        """Say what kind of harm it is, and which."""
        super().__init__(note)
        self.verdict = verdict


@dataclass(frozen=True)
class Scenario:
    """A run that shall stand every fault."""

    start: Path | None
    """The folder that it goes on from; a new run without."""
    args: tuple[str, ...]
    """Flags, beside the folder's."""
    picture: dict[str, Any]
    """What is in its folder if nothing goes wrong."""
    log: list[Any]
    """Its operations."""

    @property
    def steps(self) -> int:
        """How many environment steps it shall have."""
        return int(self.args[self.args.index("--steps") + 1])

    def begin(self, folder: Path) -> Play:
        """Prepare a folder; return the run in it."""
        if self.start is None:
            return Play([*self.args, "--run-dir", str(folder)], folder)
        shutil.copytree(self.start, folder)
        return Play(["--resume", str(folder), *self.args], folder)

    def go_on(self, folder: Path) -> list[str]:
        """Return the flags by which it is resumed."""
        return ["--resume", str(folder), *(() if self.start is None else self.args)]


def scenario(server: Server, folder: Path, start: Path | None, args: Sequence[str]) -> Scenario:
    """Run without a fault, in a folder, what shall stand them all."""
    bare = Scenario(start, tuple(args), {}, [])
    (ended,) = server.play(bare.begin(folder))
    assert ended.code == 0, ended.err
    return Scenario(start, tuple(args), picture(folder), ended.log)


def judge(server: Server, of: Scenario, play: Play) -> str:
    """Let a fault befall a run; return how it ended.

    Raises:
        BrokenPromiseError: if anything is lost, different, or not told in one line.
    """
    folder = play.folder
    before = {} if of.start is None else snapshot(of.start)
    (ended,) = server.play(play)
    check_words(ended)
    if play.fault is None or play.fault.kind != "folder gone":
        check_whole(folder)
        check_kept(before, folder)
    verdict = RESUMED
    if not is_complete(folder, of.steps):
        verdict = finish(server, of, folder)
    if verdict == TOLD and not ended.err:
        raise BrokenPromiseError(UNCLEAR, "it said nothing")
    differing = differences(of.picture, picture(folder))
    if verdict != TOLD and differing:
        raise BrokenPromiseError(DIFFERENT, f"{differing} differ. {ended.err}")
    return verdict


def finish(server: Server, of: Scenario, folder: Path) -> str:
    """Go on after a fault as a person would; return how."""
    resumes = (folder / "config.yaml").exists()
    args = of.go_on(folder) if resumes else [*of.args, "--run-dir", str(folder)]
    if not resumes and of.start is not None:
        return TOLD  # everything was removed
    (ended,) = server.play(Play(args, folder))
    if ended.code == 2 and "give a new --run-dir" in ended.err and not resumes:
        return TOLD  # something of the removed folder came again
    if ended.code != 0:
        raise BrokenPromiseError(LOST, f"{' '.join(args[:2])}: {ended.err}")
    return RESUMED if resumes and "begins anew" not in ended.err else ANEW


def check_words(ended: Ended) -> None:
    """Make sure that a run that stopped by itself says in one line what to do."""
    lines = [line for line in ended.err.splitlines() if not line.startswith(NOTES)]
    errors = [line for line in lines if line.startswith("error: ")]
    told = ended.code != 2 or (len(errors) == 1 == len(lines) and errors[0].count(":") > 1)
    if "Traceback" in ended.err or "Exception ignored" in ended.err or ended.code == 1 or not told:
        raise BrokenPromiseError(UNCLEAR, f"exit code {ended.code}: {ended.err}")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def check_whole(folder: Path) -> None:
    """Make sure that no file is torn, but for the last line of those that grow."""
    readers = {".pt": _steps, ".json": json.loads, ".yaml": _settings, ".png": _look}
    for path in sorted(folder.rglob("*")):
        read: Any = readers.get(path.suffix)
        try:
            if read is not None:
                read(path.read_text() if path.suffix == ".json" else path)
            elif path.name in ENDS and not path.read_text().endswith(ENDS[path.name]):
                raise ValueError("it has no end")
        except Exception as error:
            raise BrokenPromiseError(LOST, f"{path.name} is torn: {error!r}") from None


def check_kept(before: dict[str, bytes], folder: Path) -> None:
    """Make sure that what there was before is there, or something later instead."""
    for name, content in before.items():
        path = folder / name
        if not path.exists():
            raise BrokenPromiseError(LOST, f"{name} is gone")
        grows = path.name in GROW or path.name.startswith("events.")
        if grows and not path.read_bytes().startswith(content):
            raise BrokenPromiseError(LOST, f"{name} has lost what was in it")
        if path.name == "last.pt" and _steps(path) < _steps(io.BytesIO(content)):
            raise BrokenPromiseError(LOST, f"{name} is of fewer steps")
        if path.name == "notes" and path.read_bytes() != content:
            raise BrokenPromiseError(LOST, f"{name} was changed")


def is_complete(folder: Path, steps: int) -> bool:
    """Say whether a run has its result."""
    path = folder / "result.json"
    return path.exists() and json.loads(path.read_text())["env_steps"] >= steps


def picture(folder: Path) -> dict[str, Any]:
    """Return all that two equal runs have equal: every file, but for what tells the time."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".pt":
            found[name] = _digest(torch.load(path, weights_only=True))
        elif path.name == "metrics.csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            found[name] = [{k: v for k, v in row.items() if k[:5] != "time/"} for row in rows]
        elif path.name == "result.json":
            found[name] = json.loads(path.read_text()) | {"train_seconds": 0}
        elif path.name in ("report.html", "config.yaml", "arrows.jsonl", "episodes.csv"):
            found[name] = re.sub(str(folder), "", path.read_text())
        elif path.suffix in (".png", ".tmp"):
            found[name] = path.read_bytes()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Name the files that differ; a page may be missing, which is told."""
    names = {name for name in (*one, *other) if not name.startswith("report.html")}
    return sorted(name for name in names if one.get(name) != other.get(name))


def _steps(checkpoint: Any) -> int:
    return torch.load(checkpoint, weights_only=True)["env_steps"]


def _settings(path: Path) -> Any:
    return yaml.safe_load(path.read_text())["agent"]["name"]


def _look(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _digest(state: Any) -> str:
    """Hash nested states to the last bit, without the time that they took."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found.update(f"{value.dtype} {tuple(value.shape)}".encode())
            found.update(value.contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                found.update(repr(key).encode())
                if not str(key).endswith("_seconds"):
                    add(value[key])
        elif isinstance(value, list | tuple):
            found.update(f"[{len(value)}".encode())
            for item in value:
                add(item)
        else:
            found.update(repr(value).encode())

    add(state)
    return found.hexdigest()


def faults_of(of: Scenario, kind: str, befalls: set[str] | None = None) -> list[Fault]:
    """List a kind of fault at every operation of a scenario, or at those that it can befall."""
    counts = {False: 0, True: 0}
    found = []
    for name, _, in_thread in of.log:
        if befalls is None or name in befalls:
            found.append(Fault(kind, counts[in_thread], in_thread))
        counts[in_thread] += 1
    return found
