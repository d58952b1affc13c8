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
    files = list((tmp_path / "figures").iterdir())
    assert capsys.readouterr().out.splitlines() == [
        "left out: notes: it is no run: it has no config.yaml.",
        f"1 run, {len(files)} files in {tmp_path / 'figures'}.",
    ]
    assert {"tables.md", "return_against_oversight.png"} <= {path.name for path in files}


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
