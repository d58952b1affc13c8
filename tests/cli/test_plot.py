"""`plot`: what it writes and says, over hand-made runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import fake_run, some_runs

from routed_rl.cli.main import main
from routed_rl.experiments import figures
from routed_rl.experiments.results import Result


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return some_runs(tmp_path / "runs")


def plot(*flags: str | Path) -> int:
    return main("plot.py", [str(flag) for flag in flags])


def test_it_writes_into_the_folder_and_says_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(tmp_path / "one", 0.5)
    (tmp_path / "notes").mkdir()
    assert plot(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "left out: notes: it is no run: it has no config.yaml."
    assert lines[-6:] == [
        f"1 run. 10 files in {tmp_path / 'figures'}:",
        "  tables (.md, .csv)",
        "  return_at_0.1 (.png, .svg)",
        "  unwatched_at_0.1 (.png, .svg)",
        "  return_against_steps_at_0.1 (.png, .svg)",
        "  return_against_labels_at_0.1 (.png, .svg)",
    ]
    assert len(list((tmp_path / "figures").iterdir())) == 10


def test_it_knows_its_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "save_figure", lambda *_: [])
    fake_run(tmp_path / "one", 0.5)
    for _ in range(2):
        assert plot(tmp_path) == 0
        assert plot(tmp_path, "--out", tmp_path / "pictures") == 0
    assert "left out" not in capsys.readouterr().out
    for folder in ("figures", "pictures"):
        assert plot(tmp_path / folder) == 2
        assert capsys.readouterr() == (
            "",
            f"error: {tmp_path / folder} has figures in it, and no runs: "
            f"give the folder of the runs, such as {tmp_path}.\n",
        )


def test_a_run_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(tmp_path / "one", 0.5)
    assert plot(tmp_path / "one") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "naive in gridworld, oversight 0.1, seed 0"
    assert any("policy *" in line and "0.500" in line for line in lines)
    assert lines[-2:] == [
        f"2 files in {tmp_path / 'one' / 'figures'}:",
        "  return_against_steps (.png, .svg)",
    ]
    assert plot(tmp_path / "one" / "figures") == 2
    assert plot(tmp_path / "one", "--against", "naive") == 2
    assert "is one run" in capsys.readouterr().err


def test_it_compares_with_a_method_and_writes_where_it_is_told(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, Path, str | None]] = []

    def draw(results: Sequence[Result], folder: Path, against: str | None) -> list[Path]:
        asked.append((len(results), folder, against))
        return []

    monkeypatch.setattr(figures, "draw", draw)
    assert plot(runs, "--against", "naive", "--out", tmp_path / "pictures") == 0
    assert plot(runs) == 0
    assert asked == [(6, tmp_path / "pictures", "naive"), (6, runs / "figures", None)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "no folder was given"),
        (["nowhere"], "there is no folder nowhere"),
        (["notes"], "notes has no finished run"),
        ([".", "--against", "naiv"], "Did you mean 'naive'?"),
    ],
)
def test_wrong_input_is_one_line(
    flags: list[str],
    words: str,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(runs)
    assert plot(*flags) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (runs / "figures").exists()


def test_a_folder_of_a_name_of_several_lines_is_left_out_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(tmp_path / "runs" / "one", 0.5)
    (tmp_path / "runs" / "a\nb\x1b[2J").mkdir()
    assert main("plot.py", [str(tmp_path / "runs"), "--against", "nobody"]) == 2
    said = r"left out: a\nb\x1b[2J: it is no run: it has no config.yaml."
    assert said in capsys.readouterr().out.splitlines()
