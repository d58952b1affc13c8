"""`evaluate` on a run that took a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routed_rl import relearning, steering
from routed_rl.cli import run_command
from routed_rl.commands.evaluate import evaluate


def test_evaluate_prints_a_table_or_json(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run_command(evaluate, [str(trained), "--steer", "diamond=1", "ghost=0"]) == 0
    table = capsys.readouterr().out
    assert "diamond=1 ghost=0" in table
    assert "best possible" in table
    assert run_command(evaluate, [str(trained), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert reports == json.loads((trained / "result.json").read_text())["policies"]


def test_evaluate_options(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reports(*flags: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run_command(evaluate, [str(trained), "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    plain, steered = reports(), reports("--steer", "diamond=1")
    assert steered["diamond=1"] == plain["diamond"]
    assert reports("--oversight", "0")["mixture"]["return"] == pytest.approx(plain["mixture"]["by_oversight"]["none"])
    assert reports("--greedy")["diamond"]["return"] == pytest.approx(plain["diamond"]["greedy"])
    sampled = reports("--episodes", "4000")["diamond"]
    assert sampled["exact"] is False
    assert sampled["return"] == pytest.approx(plain["diamond"]["return"], abs=4 * sampled["standard_error"])


def test_evaluate_tabulates_profiles(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(evaluate, [str(trained), "--profiles", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert list(table) == ["diamond", "ghost", "diamond+ghost"]
    assert table["diamond"]["allowed"] == pytest.approx(table["diamond"]["outcomes"]["diamond"])
    assert run_command(evaluate, [str(trained), "--profiles"]) == 0
    assert "Mean return over the 3 profiles" in capsys.readouterr().out


def test_evaluate_attacks_by_relearning(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relearning, "UPDATES", (0, 2))
    assert run_command(evaluate, [str(trained), "--relearn", "ghost", "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)
    assert list(curves) == ["diamond", "diamond, new head", "a fresh network"]
    assert set(curves["diamond"]) == {"0", "2"}
    assert curves["diamond"]["0"] != curves["diamond, new head"]["0"] != curves["a fresh network"]["0"]
    assert run_command(evaluate, [str(trained), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert curves["diamond"]["0"]["reached"] == pytest.approx(reports["diamond"]["outcomes"]["ghost"])
    assert run_command(evaluate, [str(trained), "--steer", "ghost=1", "--relearn", "ghost", "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)
    assert curves["ghost=1"]["0"]["reached"] == pytest.approx(reports["ghost"]["outcomes"]["ghost"])
    assert run_command(evaluate, [str(trained), "--relearn", "goblin"]) == 2
    assert "no outcome 'goblin'" in capsys.readouterr().err
    for other in (["--profiles"], ["--gif", "x.gif"]):
        assert run_command(evaluate, [str(trained), *other, "--relearn", "ghost"]) == 2
    assert run_command(evaluate, [str(trained), "--profiles", "--steer", "ghost=1"]) == 2
    assert "one of them at a time" in capsys.readouterr().err


def test_evaluate_exports_and_films(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, gif = tmp_path / "policy.safetensors", tmp_path / "film.gif"
    assert run_command(evaluate, [str(trained), "--export", str(path), "--gif", str(gif)]) == 0
    assert list(steering.load(path).torso.experts) == ["diamond"]
    assert gif.stat().st_size > 1000
    for flags, words in [
        (["--export", str(path)], "exists"),
        (["--steer", "dimond=1"], "Did you mean 'diamond'"),
        (["--steer", "diamond"], "write name=weight"),
        (["--oversight", "2"], "oversight is 2"),
        (["--episodes", "0"], "episodes is 0"),
    ]:
        capsys.readouterr()
        assert run_command(evaluate, [str(trained), *flags]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
