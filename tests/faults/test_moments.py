"""Killed again and again, two at once, and with clocks that nobody can rely on."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import Play, Server
from file_faults import Fault
from promise import (
    DIFFERENT,
    LOST,
    RESUMED,
    TOLD,
    BrokenPromiseError,
    Scenario,
    check_kept,
    check_whole,
    check_words,
    differences,
    finish,
    is_complete,
    judge,
    picture,
    snapshot,
)

from .conftest import EVERY, Tally


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_run_that_is_killed_again_and_again_comes_to_its_end(
    part: int, server: Server, new: Scenario, tally: Tally, tmp_path: Path
) -> None:
    draw = random.Random(part)
    for number in range(15 // EVERY):
        folder = tmp_path / str(number)
        tally.judge(
            "killed at random moments", lambda f=folder: killed(server, new, f, draw, tally), number
        )


def killed(server: Server, of: Scenario, folder: Path, draw: random.Random, tally: Tally) -> str:
    """Kill a run at random moments until it is through."""
    last: dict[str, bytes] = {}
    while not is_complete(folder, of.steps):
        resumes = (folder / "config.yaml").exists()
        args = of.go_on(folder) if resumes else [*of.args, "--run-dir", str(folder)]
        (ended,) = server.play(Play(args, folder, killed_after=draw.uniform(0.0, 0.3)))
        check_words(ended)
        check_whole(folder)
        check_kept(last, folder)
        last = {name: x for name, x in snapshot(folder).items() if name.endswith("last.pt")}
        if not is_complete(folder, of.steps):
            tally.add("killed at random moments", RESUMED)  # by what follows
    if found := differences(of.picture, picture(folder)):
        raise BrokenPromiseError(DIFFERENT, f"{found}")
    return RESUMED


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_of_two_runs_in_one_folder_one_is_told(
    part: int, run: Scenario, server: Server, tally: Tally, tmp_path: Path
) -> None:
    draw = random.Random(part)
    for number in range(24 // EVERY):
        folder = tmp_path / str(number)
        plays = [run.begin(folder)] * 2
        if number % 3:  # one of them is late at an operation, or dies there
            kind = "slow" if number % 3 == 1 else "killed before"
            plays[1] = replace(plays[1], fault=Fault(kind, draw.randrange(30)))
        tally.judge("two runs in one folder", lambda p=plays: race(server, run, p), number)


def race(server: Server, of: Scenario, plays: list[Play]) -> str:
    """Do two runs in one folder at the same time."""
    folder = plays[0].folder
    ended = server.play(*plays)
    for one in ended:
        check_words(one)
    check_whole(folder)
    if sum(one.code == 0 for one in ended) > 1:
        raise BrokenPromiseError(LOST, "both went through")
    if not is_complete(folder, of.steps):
        finish(server, of, folder)
    if found := differences(of.picture, picture(folder)):
        raise BrokenPromiseError(DIFFERENT, f"{found}: {ended[0].err} {ended[1].err}")
    return TOLD if any(one.code == 2 for one in ended) else RESUMED


@pytest.mark.slow
def test_clocks_that_jump_and_stand_still_change_no_bit(
    run: Scenario, server: Server, tally: Tally, tmp_path: Path
) -> None:
    for seed in range(60 // EVERY):
        play = replace(run.begin(tmp_path / str(seed)), clock=seed)
        tally.judge("clock jumps", lambda p=play: judge(server, run, p), seed)
