"""What a person reads at the end."""

from __future__ import annotations

from dataclasses import replace

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
    titles = ["policy", "return", "unwatched", "greedy", "diamond", "nothing", "steps"]
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


WALK = Report(
    true_return=0.5,
    paid_return=2.25,
    score=3.5,
    exact=False,
    standard_error=0.0625,
    episodes=64,
    outcomes={"diamond": 0.5, "ghost": 0.75, "none": 0.125},
    outcomes_per_episode={"diamond": 0.5, "ghost": 1.0},
    mean_length=3.5,
)


def test_where_an_outcome_comes_again_it_is_said_how_often_and_what_is_paid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_reports({"policy": WALK}, {}, Table("x", deployed="policy"))
    out = capsys.readouterr().out
    lines = out.splitlines()
    titles = ["policy", "return", "paid", "score", "diamond", "ghost", "nothing", "steps"]
    assert cells(lines[2]) == titles
    shares = ["50.0% (0.50)", "75.0% (1.00)", "12.5%"]
    assert cells(lines[4]) == ["policy *", "0.500 ±0.062", "2.250", "3.500", *shares, "3.5"]
    assert "Score: paid in all, undiscounted." in " ".join(out.split())
    assert "Outcomes: share of episodes with at least one, and how often in an episode." in out


def test_where_none_comes_again_a_share_says_all_and_an_exact_score_is_nobodys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    once = replace(WALK, outcomes_per_episode={"diamond": 0.5, "ghost": 0.75}, exact=True)
    print_reports({"policy": once}, {}, Table("x", deployed="policy"))
    out = capsys.readouterr().out
    assert "75.0%" in out
    assert "(0.75)" not in out
    assert "how often" not in out
    assert "score" not in out.lower()


def test_plain_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("profiles", ("name", "return"), {"a": ["0.1"], "a+b": ["-0.25"]})
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[2]) == ["name", "return"]
    assert [cells(line) for line in lines[4:6]] == [["a", "0.1"], ["a+b", "-0.25"]]
