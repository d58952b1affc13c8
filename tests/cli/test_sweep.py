"""`sweep`: the exit code, what is printed, and the files that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from routed_rl.cli.main import main
from routed_rl.sweeps import launchers
from routed_rl.sweeps.sweep import Task


def sweep(*flags: str) -> int:
    return main("sweep.py", flags)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(
        "seeds = [0, 1]\n"
        "[flags]\n"
        'agent = "naive"\n'
        "steps = 64\n"
        "evaluations = 1\n"
        "num-envs = 4\n"
        '"env.rows" = 3\n'
        '"env.columns" = 3\n'
        '"agent.hidden" = [4]\n'
        "[[grid]]\n"
        '"env.oversight" = 0.5\n'
    )
    return path


def test_commands_are_printed_and_nothing_is_run(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert sweep(str(toml), "--print-commands", "--out", str(out)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(f"--seed 1 --run-dir {out}/naive_oversight-0.5_seed-1")
    assert not out.exists()


@pytest.mark.parametrize("failed", [{}, {"naive_oversight-0.5_seed-1": "no luck"}])
def test_all_are_launched_and_what_failed_is_told(
    toml: Path,
    tmp_path: Path,
    failed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launched: list[tuple[list[str], dict[str, Any]]] = []

    def launch(tasks: Sequence[Task], **how: Any) -> dict[str, str]:
        launched.append(([task.name for task in tasks], how))
        return failed

    monkeypatch.setattr(launchers, "run", launch)
    out = tmp_path / "out"
    flags = ("--jobs", "3", "--launcher", "ray", "--address", "auto", "--out", str(out))
    assert sweep(str(toml), *flags) == (1 if failed else 0)
    names = [f"naive_oversight-0.5_seed-{seed}" for seed in (0, 1)]
    ((launched_names, how),) = launched
    assert launched_names == names
    assert (how["jobs"], how["launcher"], how["on_ray"].address) == (3, "ray", "auto")
    told = capsys.readouterr()
    assert told.out.startswith(f"{2 - len(failed)} of 2 runs are in {out}.")
    said = [f"failed: {name}: {error}" for name, error in failed.items()]
    assert told.err.splitlines() == said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "no sweep was given"),
        (["x.toml", "--jobs", "0"], "jobs is 0"),
        (["none.toml"], "cannot read none.toml"),
        (["x.toml", "--cpus", "-1"], "cpus is -1"),
        (["x.toml", "--launcher", "slurm"], "invalid choice 'slurm'"),
    ],
)
def test_wrong_input_is_one_line(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(*flags) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_wrong_flag_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[[grid]]\nagent = "naive"\n"env.oversigth" = 0.1\n')
    assert sweep(str(path), "--out", str(tmp_path / "out")) == 2
    assert "oversigth" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # it reads 800 kinds of run
@pytest.mark.parametrize("path", sorted(ROOT.glob("sweeps/*.toml")), ids=lambda path: path.stem)
def test_the_sweeps_that_come_with_it_are_valid(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(str(path), "--print-commands", "--out", "/nonexistent") == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8
