"""How far work has come, said on stderr."""

from __future__ import annotations

import time

import pytest

from routed_rl.utils import progress
from routed_rl.utils.progress import Progress, time_left, track


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let time stand still at a number that a test may change."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_long_work_says_a_line_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("evaluating", 4000, "episodes") as bar:
        for _ in range(40):
            clock[0] += 6.0
            bar.advance(100)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "evaluating: 400 of 4,000 episodes, about 4 min left"
    assert len(lines) == 9, "one at each tenth, and none at the end"
    assert lines[-1] == "evaluating: 3,600 of 4,000 episodes, about 24 s left"


def test_short_work_says_nothing_and_items_come_as_they_are(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    for item in track("abc", "turning", "weights"):
        clock[0] += progress.QUIET_SECONDS / 4
        seen.append(item)
    assert seen == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("teaching", 2, "updates") as bar:
        bar.advance()
    err = capsys.readouterr().err
    assert "teaching" in err
    assert "0/2" in err
    assert err.endswith("\r"), "the line is free for what comes next"


@pytest.mark.parametrize(
    ("part", "seconds", "words"),
    [
        (0.5, 40.0, "about 40 s left"),
        (0.25, 60.0, "about 3 min left"),
        (0.1, 1200.0, "about 3 h left"),
        (0.0, 9.0, "time left unknown"),
    ],
)
def test_the_rest_is_expected_to_be_as_fast(part: float, seconds: float, words: str) -> None:
    assert time_left(part, seconds) == words
