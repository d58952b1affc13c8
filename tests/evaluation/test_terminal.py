"""What a person reads at the end."""

from __future__ import annotations

import pytest

from routed_rl.evaluation.report import Report
from routed_rl.evaluation.terminal import Table, print_reports, print_rows

EXACT = Report(
    true_return=0.5,
    exact=True,
    unwatched=0.25,
    greedy=-1.0,
    outcomes={"diamond": 0.875, "none": -1e-17},
    mean_length=3.25,
)
PLAYED = Report(
    true_return=0.5,
    exact=False,
    standard_error=0.0625,
    episodes=64,
    outcomes={"diamond": 1.0, "none": 0.0},
    mean_length=2.0,
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def test_a_row_for_each_policy_and_the_deployed_one_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    about = Table("routed in gridworld", deployed="diamond")
    print_reports({"mixture": EXACT, "diamond": EXACT}, {"best possible": 0.9317}, about)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "routed in gridworld"
    titles = ["policy", "return", "unwatched", "greedy", "to diamond", "to nothing", "steps"]
    assert cells(lines[2]) == titles, "there is no column of what was not looked for"
    numbers = ["0.500", "0.250", "-1.000", "87.5%", "0.0%", "3.2"]
    assert cells(lines[4]) == ["mixture", *numbers]
    assert cells(lines[5]) == ["diamond *", *numbers]
    assert lines[7] == "* deployed. Returns are of whole episodes with sampled actions, exact."
    assert lines[8] == "To compare with: best possible 0.932."


def test_what_was_played_has_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_reports({"policy": PLAYED}, {}, Table("x", deployed="policy", greedy=True))
    out = capsys.readouterr().out
    assert "0.500 ±0.062" in out
    assert "with the likeliest actions, 64 episodes, ± is a standard error." in out
    assert "To compare with" not in out


def test_plain_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("profiles", ("name", "return"), {"a": ["0.1"], "a+b": ["-0.25"]})
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[2]) == ["name", "return"]
    assert [cells(line) for line in lines[4:6]] == [["a", "0.1"], ["a+b", "-0.25"]]
