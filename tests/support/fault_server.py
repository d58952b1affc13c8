"""Trains again and again under faults, each time in a process of its own that is warm already.

`Server` is what tests talk to. It starts this file as a program once. That imports everything,
trains once, and forks a process for each run that it is asked for: this takes a tenth of a second
where a new interpreter would take two.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from file_faults import Fault, Operations
from tqdm import tqdm

LONGEST = 60.0
"""Seconds that a run of a tenth of a second may take on a busy machine."""


@dataclass(frozen=True)
class Play:
    """A run of `train.py`, and what befalls it."""

    args: Sequence[str]
    folder: Path
    """Whose files are watched."""
    fault: Fault | None = None
    killed_after: float | None = None
    """Seconds until it is killed, wherever it is."""
    clock: int | None = None
    """Seed of a clock that jumps to and fro."""


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    """Exit code, or minus the number of the signal that killed it."""
    out: str
    err: str
    log: list[Any]
    """Its operations, if it was not killed."""


class Server:
    """Trains in forked processes."""

    def __init__(self) -> None:
        """Start the process that all are forked from."""
        here = Path(__file__)
        path = os.pathsep.join([str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(here)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )

    def play(self, *plays: Play) -> list[Ended]:
        """Do runs, all at the same time; return how each ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        plain = [asdict(play) | {"folder": str(play.folder)} for play in plays]
        self._process.stdin.write(json.dumps(plain) + "\n")
        self._process.stdin.flush()
        return [Ended(*ended) for ended in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def main() -> None:
    """Do what is asked for on stdin, and answer on stdout, until there is no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    tqdm.monitor_interval = 0  # no thread of its own
    with tempfile.TemporaryDirectory() as scratch:
        _warm_up(Path(scratch))
        for number, line in enumerate(sys.stdin):
            assert threading.active_count() == 1, "a process is forked whole from one thread only"
            folder = Path(scratch, str(number))
            folder.mkdir()
            print(json.dumps(_together(json.loads(line), folder)), file=answers, flush=True)


def _warm_up(scratch: Path) -> None:
    """Import and do once all that a run does."""
    flags = "--agent naive --env.rows 2 --env.columns 2 --num-envs 8 --agent.hidden 4"
    flags += " --agent.rollout-steps 8 --steps 64 --evaluations 1 --episode-log --run-dir"
    folder = str(scratch / "warm")
    for args in ([*flags.split(), folder], ["--resume", folder, "--steps", "128"]):
        play = {"args": args, "folder": folder, "fault": None, "clock": None}
        _train(play, scratch / "warm")


def _together(plays: list[dict[str, Any]], folder: Path) -> list[Ended]:
    """Fork a process for each run, and wait for all."""
    began = time.monotonic()
    children = []
    for number, play in enumerate(plays):
        child = os.fork()
        if child == 0:
            _be(play, folder / str(number))
        children.append(child)
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        passed = time.monotonic() - began
        for child, play in zip(children, plays, strict=True):
            if child in codes:
                continue
            limit = play["killed_after"]
            if passed > (LONGEST if limit is None else limit):
                os.kill(child, signal.SIGKILL)
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return [_ended(codes[child], folder / str(k)) for k, child in enumerate(children)]


def _ended(code: int, said: Path) -> Ended:
    """Read what a process left."""
    texts = [said.with_suffix(end) for end in (".out", ".err", ".log")]
    out, err, log = (path.read_text() if path.exists() else "" for path in texts)
    for path in texts:
        path.unlink(missing_ok=True)
    return Ended(code, out, err, json.loads(log or "[]"))


def _be(play: dict[str, Any], said: Path) -> None:
    """Be the process of a run; never return."""
    code = 1
    try:
        for descriptor, end in ((1, ".out"), (2, ".err")):
            file = os.open(said.with_suffix(end), os.O_WRONLY | os.O_CREAT)
            os.dup2(file, descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _train(play, said)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _train(play: Mapping[str, Any], said: Path) -> int:
    """Train under a fault; leave a log of the operations."""
    import torch

    from routed_rl.cli.main import run_command
    from routed_rl.cli.train import train

    torch.set_num_threads(1)
    if said.name == "warm":
        return run_command(train, play["args"])
    fault = play["fault"] and Fault(**play["fault"])
    operations = Operations(play["folder"], fault)
    operations.install()
    with _jumping(play["clock"]):
        code = run_command(train, play["args"])
    if fault is None and code == 0:
        operations.check_none_is_missed()
    os.write(os.open(said.with_suffix(".log"), os.O_WRONLY | os.O_CREAT), _packed(operations))
    return code


def _packed(operations: Operations) -> bytes:
    return json.dumps(operations.log).encode()


@contextmanager
def _jumping(seed: int | None) -> Any:
    """Let clocks jump forwards and backwards by up to a day, and stand still."""
    if seed is None:
        yield
        return
    draw = random.Random(seed)
    for name in ("time", "monotonic", "perf_counter"):
        real = getattr(time, name)
        setattr(time, name, _Clock(real(), draw))
    yield


class _Clock:
    """A clock that nobody can rely on."""

    def __init__(self, now: float, draw: random.Random) -> None:
        self._now = now
        self._draw = draw

    def __call__(self) -> float:
        chance = self._draw.random()
        if chance > 0.6:
            self._now += self._draw.uniform(-86400, 86400)
        elif chance > 0.3:
            self._now += 0.01
        return self._now


if __name__ == "__main__":
    main()
