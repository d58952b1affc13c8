"""A file that was cut, changed or exchanged is told in one line, and the remedy in it helps."""

from __future__ import annotations

import random
import shutil
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fault_server import Ended, Play, Server
from file_faults import Fault
from helpers import CPU
from promise import (
    ANEW,
    DIFFERENT,
    LOST,
    RESUMED,
    TINY,
    TOLD,
    UNCLEAR,
    BrokenPromiseError,
    Scenario,
    check_words,
    differences,
    picture,
)

from routed_rl.training import builder, checkpoints
from routed_rl.utils.errors import UserError

from .conftest import EVERY, Tally

SMALL: dict[str, Any] = {"agent": {"w": torch.arange(3.0)}, "env_steps": 5, "names": ["a", "b"]}


@pytest.fixture(scope="session")  # as its home: files' tests may take turns
def stopped(server: Server, home: Path, new: Scenario) -> Path:
    """The folder of a run that was killed after two of its three updates."""
    folder = home / "stopped"
    done = [[name, path] for name, path, in_thread in new.log if not in_thread]
    saves = [k for k, operation in enumerate(done) if operation == ["replace", "last.pt.tmp"]]
    fault = Fault("killed before", saves[1] + 3)
    (ended,) = server.play(replace(new.begin(folder), fault=fault))
    assert ended.code == -signal.SIGKILL
    assert checkpoints.load(folder / "checkpoints" / "last.pt", CPU)["env_steps"] == 128
    return folder


def load(path: Path, content: bytes, original: Any) -> str:
    """Load a checkpoint with another content; return how that ended."""
    path.write_bytes(content)
    try:
        found = checkpoints.load(path, CPU)
    except UserError as error:
        if "\n" in str(error) or not str(error).endswith("."):
            raise BrokenPromiseError(UNCLEAR, str(error)) from None
        return TOLD
    except Exception as error:
        raise BrokenPromiseError(UNCLEAR, repr(error)) from None
    if not same(found, original):
        raise BrokenPromiseError(DIFFERENT, "other numbers were read")
    return RESUMED


def same(one: Any, other: Any) -> bool:
    """Compare nested states to the last bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def lengths(path: Path, draw: random.Random) -> list[int]:
    """Choose where to cut a large checkpoint: around each record, near the end, and anywhere."""
    with zipfile.ZipFile(path) as archive:
        offsets = [record.header_offset for record in archive.infolist()]
    size = path.stat().st_size
    near = {offset + more for offset in offsets for more in (-1, 0, 1, 30, 64)}
    anywhere = {draw.randrange(size) for _ in range(500)}
    return sorted(k for k in near | anywhere | set(range(size - 600, size)) if 0 <= k < size)


@pytest.mark.slow
def test_a_cut_checkpoint_is_never_taken_for_a_whole_one(
    tmp_path: Path, new: Scenario, home: Path, tally: Tally
) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, SMALL)
    small = path.read_bytes()
    for length in range(len(small)):
        tally.judge("checkpoint cut", lambda n=length: load(path, small[:n], SMALL), length)
    large = home / "new" / "checkpoints" / "last.pt"
    content, original = large.read_bytes(), checkpoints.load(large, CPU)
    for length in lengths(large, random.Random(0)):
        tally.judge("checkpoint cut", lambda n=length: load(path, content[:n], original), length)
    assert tally.counts["checkpoint cut", RESUMED] == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_bit_that_changed_changes_no_number(
    tmp_path: Path, new: Scenario, home: Path, tally: Tally, part: int
) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(path, SMALL)
    small = path.read_bytes()
    large = home / "new" / "checkpoints" / "last.pt"
    content, original = large.read_bytes(), checkpoints.load(large, CPU)
    draw = random.Random(part)
    every = [(small, SMALL, bit) for bit in range(part, 8 * len(small), 4)]
    some = [(content, original, draw.randrange(8 * len(content))) for _ in range(500)]
    for whole, state, bit in every + some:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        flipped = bytes(changed)
        tally.judge("bit of a checkpoint", lambda b=flipped, s=state: load(path, b, s), bit)


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["cut", "flipped", "gone", "of another run"])
def test_the_remedy_leads_to_the_same_bits(
    tmp_path: Path, server: Server, new: Scenario, stopped: Path, tally: Tally, broken: str
) -> None:
    draw = random.Random(broken)
    for number in range(4):
        folder = tmp_path / str(number)
        shutil.copytree(stopped, folder)
        last = folder / "checkpoints" / "last.pt"
        content = bytearray(last.read_bytes())
        if broken == "cut":
            last.write_bytes(content[: draw.randrange(len(content))])
        elif broken == "flipped":
            content[len(content) // 2 + number] ^= 4
            last.write_bytes(content)
        elif broken == "gone":
            last.unlink()
        else:
            other = tmp_path / f"other-{number}"
            flags = [*TINY, "--seed", str(number + 1), "--run-dir", str(other), "--no-page"]
            assert server.play(Play(flags, other))[0].code == 0
            shutil.copy(other / "checkpoints" / "last.pt", last)
        tally.judge(
            f"last.pt {broken}, remedied",
            lambda f=folder: after_the_remedy(server, new, f),
            number,
        )


def after_the_remedy(server: Server, of: Scenario, folder: Path) -> str:
    """Do what the line says that a resumed run ends with, and resume it again."""
    args = ["--resume", str(folder)]
    (refused,) = server.play(Play(args, folder))
    if refused.code != 2:
        raise BrokenPromiseError(DIFFERENT, "it went on")
    check_words(refused)
    previous = folder / "checkpoints" / "previous.pt"
    if f"copy {previous} over it" not in refused.err and "belongs here" not in refused.err:
        raise BrokenPromiseError(UNCLEAR, refused.err)
    shutil.copy(previous, previous.with_name("last.pt"))
    return went_on(of, folder, server.play(Play(args, folder))[0], set())


def went_on(of: Scenario, folder: Path, ended: Ended, torn: set[str]) -> str:
    """Make sure that a run came to the bits of the unbroken one, but for files that were torn."""
    if ended.code != 0:
        raise BrokenPromiseError(LOST, ended.err)
    for name in differences(of.picture, picture(folder)):
        if name not in torn:
            raise BrokenPromiseError(DIFFERENT, f"{name}: {ended.err}")
        if name == "metrics.csv" and "metrics.csv was cut: it lacks" not in ended.err:
            raise BrokenPromiseError(UNCLEAR, "nobody says that the curve has a gap")
    return RESUMED


OTHERS = {
    "another agent": ["--agent", "oracle"],
    "another world": ["--env", "looks"],
    "other widths": ["--agent.hidden", "5"],
    "another seed": ["--seed", "1"],
    "another oversight": ["--env.oversight", "0.5"],
    "another learning rate": ["--agent.learning-rate", "0.01"],
    "other environments": ["--num-envs", "16"],
    "other evaluations": ["--evaluations", "3"],
}


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS)
def test_the_checkpoint_of_another_run_is_told(
    tmp_path: Path, server: Server, stopped: Path, tally: Tally, other: str
) -> None:
    theirs = tmp_path / "theirs"
    base = list(TINY)
    if other == "another world":
        at = base.index("--env.rows")
        base = base[:at] + base[at + 4 :]
    flags = [*base, *OTHERS[other], "--run-dir", str(theirs), "--no-page"]
    (ended,) = server.play(Play(flags, theirs))
    assert ended.code == 0, ended.err
    folder = tmp_path / "ours"
    shutil.copytree(stopped, folder)
    for name in ("last.pt", "previous.pt"):
        shutil.copy(theirs / "checkpoints" / name, folder / "checkpoints" / name)

    def resume() -> str:
        (ended,) = server.play(Play(["--resume", str(folder)], folder))
        if ended.code != 2:
            raise BrokenPromiseError(DIFFERENT, "it went on with another run's numbers")
        check_words(ended)
        return TOLD

    tally.judge("checkpoint of another run", resume, other)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_a_cut_config_never_means_another_run(
    tmp_path: Path, stopped: Path, tally: Tally, part: int
) -> None:
    whole = (stopped / "config.yaml").read_bytes()
    meant = builder.reopen(stopped).config
    last = stopped / "checkpoints" / "last.pt"
    state = checkpoints.load(last, CPU)
    path = tmp_path / "config.yaml"

    def reopen(length: int) -> str:
        path.write_bytes(whole[:length])
        try:
            config = builder.reopen(tmp_path).config
            builder.check_settings(builder.settings_of(tmp_path), state, last)
        except UserError as error:
            if "\n" in str(error):
                raise BrokenPromiseError(UNCLEAR, str(error)) from None
            return TOLD
        if config != meant:
            raise BrokenPromiseError(DIFFERENT, f"cut at {length}")
        return RESUMED

    for length in range(part * EVERY, len(whole), 3 * EVERY):
        tally.judge("config.yaml cut", lambda n=length: reopen(n), length)


LOGS = ("metrics.csv", "episodes.csv", "arrows.jsonl", "command.txt", "versions.txt")


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_a_cut_log_costs_its_lines_alone(
    tmp_path: Path, server: Server, new: Scenario, stopped: Path, tally: Tally, name: str
) -> None:
    size = (stopped / name).stat().st_size
    draw = random.Random(name)
    for length in [0, 1, size - 1, *(draw.randrange(size) for _ in range(24 // EVERY))]:
        folder = tmp_path / str(length)
        shutil.copytree(stopped, folder, dirs_exist_ok=True)
        (folder / name).write_bytes((stopped / name).read_bytes()[:length])
        (ended,) = server.play(Play(["--resume", str(folder)], folder))
        tally.judge(f"{name} cut", lambda f=folder, e=ended: went_on(new, f, e, {name}), length)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result.json", "previous.pt"])
def test_what_a_run_does_not_need_is_written_anew(
    tmp_path: Path, server: Server, new: Scenario, home: Path, tally: Tally, name: str
) -> None:
    whole = next((home / "new").rglob(name))
    draw = random.Random(name)
    size = whole.stat().st_size
    for length in [0, 1, size - 1, *(draw.randrange(size) for _ in range(30 // EVERY))]:
        folder = tmp_path / str(length)
        shutil.copytree(home / "new", folder, dirs_exist_ok=True)
        (folder / whole.relative_to(home / "new")).write_bytes(whole.read_bytes()[:length])
        if name == "previous.pt":
            (folder / "result.json").unlink()
        (ended,) = server.play(Play(["--resume", str(folder)], folder))
        tally.judge(f"{name} cut", lambda f=folder, e=ended: anew(new, f, e), length)


def anew(of: Scenario, folder: Path, ended: Ended) -> str:
    """Make sure that a finished run has all that it had."""
    if ended.code == 2 and "give more with --steps" not in ended.err:
        raise BrokenPromiseError(LOST, ended.err)
    if ended.code not in (0, 2):
        raise BrokenPromiseError(UNCLEAR, ended.err)
    if differing := differences(of.picture, picture(folder)):
        raise BrokenPromiseError(DIFFERENT, f"{differing}")
    return RESUMED if ended.code == 0 else ANEW
