"""Two checkouts train by turns, each in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import against
import pytest

TINY = ["--num-envs", "4", "--agent.rollout-steps", "2", "--agent.hidden", "4"]


@pytest.mark.slow
def test_both_checkouts_train_by_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for part in ("agents", "benchmarks", "envs", "routed_rl"):
        (other / part).symlink_to(against.ROOT / part)
    command = ["against.py", str(other), "--goal", "-9", "--runs", "1", "--", *TINY]
    monkeypatch.setattr(sys, "argv", command)
    against.main()
    there, here, medians = capsys.readouterr().out.splitlines()
    assert "other " in there and "8 steps" in there
    assert against.ROOT.name in here and "8 steps" in here
    assert medians.startswith("medians: ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "nowhere has no benchmarks/learning.py: give a checkout"),
        pytest.param(
            [str(against.ROOT), "--", "--bogus", "3"], "could not train: ", marks=pytest.mark.slow
        ),
    ],
    ids=["no-checkout", "no-such-flag"],
)
def test_what_cannot_train_is_said_in_one_line(
    args: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["against.py", *args])
    with pytest.raises(SystemExit) as ended:
        against.main()
    assert said in f"{ended.value} {capsys.readouterr().err}"
