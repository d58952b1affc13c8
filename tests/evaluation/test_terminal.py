"""What a person reads at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed_rl.evaluation.report import Report
from routed_rl.evaluation.terminal import Table, print_reports, print_rows, say

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
    assert lines[0] == "routed in gridworld"
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


WIDTHS = (20, 40, 80, 100, 120)


def shown(capsys: pytest.CaptureFixture[str], columns: int) -> tuple[list[list[str]], str]:
    """Return the cells of the table that was printed, and what stands below it, in one line.

    No line may be longer than the terminal is wide.
    """
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    table = [cells(line) for line in lines if line[0] in "┃│"]
    return table, " ".join(out[out.rindex("┘") + 1 :].split())


@pytest.mark.parametrize("width", WIDTHS)
def test_reports_shed_columns_and_no_digits(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    full = replace(
        EXACT, paid_return=-0.123, stepwise_return=-10.125, outcomes={"diamond": 1, "ghost": 0}
    )
    about = Table("x", deployed="diamond=1 ghost=0", elsewhere="--json")
    print_reports({"mixture": full, "diamond=1 ghost=0": full}, {}, about)
    table, below = shown(capsys, width)
    whole = {
        "return": "0.500",
        "paid": "-0.123",
        "unwatched": "0.250",
        "greedy": "-1.000",
        "stepwise": "-10.125",
        "diamond": "100.0%",
        "ghost": "0.0%",
        "steps": "3.2",
    }
    (_, *titles), *rows = table
    assert titles[0] == "return"
    for row in rows:
        assert row[1:] == [whole[title] for title in titles], "each number is there to its end"
    missing = [title for title in whole if title not in titles]
    gone = {20: 7, 40: 7, 80: 2, 100: 0, 120: 0}[width]
    assert len(missing) == gone
    assert ("A terminal 99 columns wide shows all, and so does --json." in below) == bool(missing)
    if missing:
        assert f"No room for {', '.join(missing)}." in below
    if width == 80:
        assert missing == ["paid", "stepwise"]


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_shed_columns_from_the_right_unless_told(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [f"c{number}" for number in range(12)]
    print_rows("x", columns, {"a name": [f"{n}.1234" for n in range(1, 12)]}, spare=["c2"])
    (titles, row), below = shown(capsys, width)
    assert row[1:] == [f"{title[1:]}.1234" for title in titles[1:]]
    # A column is 9 characters wide, those of two digits 10, and the names with the edge 10.
    left = {20: [1], 40: [1, 3, 4], 80: [1, 3, 4, 5, 6, 7, 8], 100: [1, *range(3, 11)]}
    assert titles[1:] == [f"c{number}" for number in left.get(width, range(1, 12))]
    assert ("No room for c2" in below) == (width < 120)


def test_only_a_name_is_shortened_and_its_mark_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    rows = {"diamond=0.25 ghost=-0.5 *": ["-0.123"], "b": ["0.1"]}
    print_rows("x", ("policy", "return"), rows)
    (_, first, second), _ = shown(capsys, 24)
    assert first == ["diamo…0.5 *", "-0.123"]
    assert second == ["b", "0.1"]


def test_markup_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("[bold]x[/bold]", ("[a]", "b"), {"[red]c": [":x:"]})
    out = capsys.readouterr().out
    for text in ("[bold]x[/bold]", "[a]", "[red]c", ":x:"):
        assert text in out


def test_sentences_break_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    say("Take --flagged-at-most, or a/path/that/is/longer/than/the/terminal is wide.")
    lines = ["Take --flagged-at-most, or", "a/path/that/is/longer/than/the/terminal", "is wide."]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_policy_of_which_less_is_known_has_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    less = replace(EXACT, greedy=None, outcomes={"ghost": 1.0}, outcomes_per_episode={"ghost": 2.0})
    print_reports({"mixture": EXACT, "ghost": less}, {}, Table("x", deployed="mixture"))
    rows = [cells(line) for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert rows[1] == ["ghost", "0.500", "0.250", "-", "0.0%", "0.0%", "3.2"]
