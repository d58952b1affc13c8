"""`evaluate` on a run that took a second."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TINY_TITLE, train_tiny

from routed_rl import load, load_policy
from routed_rl.cli.evaluate import evaluate
from routed_rl.cli.main import run_command
from routed_rl.evaluation import relearning


def run(folder: Path, flags: str = "") -> int:
    return run_command(evaluate, [str(folder), *shlex.split(flags)])


def read_json(capsys: pytest.CaptureFixture[str], folder: Path, flags: str = "") -> Any:
    """Evaluate, and read what was printed."""
    capsys.readouterr()
    assert run(folder, f"--json {flags}") == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_a_table_or_json(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(trained, "--steer diamond=1 ghost=0") == 0
    table = capsys.readouterr().out
    assert "diamond=1 ghost=0" in table
    assert "best possible" in table
    result = json.loads((trained / "result.json").read_text())
    assert read_json(capsys, trained) == result["policies"]


def test_the_table_says_how_it_was_evaluated(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(trained, "--oversight 0 --greedy") == 0
    lines = capsys.readouterr().out.splitlines()
    title = f"routed in gridworld {TINY_TITLE} 0, evaluated at 0"
    assert title in [line.strip() for line in lines]
    assert any("with the likeliest actions, exact." in line for line in lines)
    assert any("The mixture was paid for good and bad outcomes alike" in line for line in lines)


def test_evaluate_options(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = read_json(capsys, trained)
    steered = read_json(capsys, trained, "--steer diamond=1")
    assert steered["diamond=1"] == plain["diamond"]
    unseen = read_json(capsys, trained, "--oversight 0")["mixture"]
    assert unseen["return"] == pytest.approx(plain["mixture"]["by_oversight"]["none"])
    greedy = read_json(capsys, trained, "--greedy")["diamond"]
    assert greedy["return"] == pytest.approx(plain["diamond"]["greedy"])
    sampled = read_json(capsys, trained, "--episodes 1000")["diamond"]
    assert sampled["exact"] is False
    error = sampled["standard_error"]
    assert sampled["return"] == pytest.approx(plain["diamond"]["return"], abs=4 * error)


@pytest.fixture(scope="module")
def two(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make two runs of other seeds; the last of the second is the best by labels of the first."""
    folder = tmp_path_factory.mktemp("two")
    train_tiny(folder / "second", 128, "--seed", "1")
    shutil.copytree(trained, folder / "first")
    last = folder / "second" / "checkpoints" / "last.pt"
    shutil.copy(last, folder / "first" / "checkpoints" / "best_by_labels.pt")
    return folder / "first", last


@pytest.mark.parametrize("flags", ["", "--profiles", "--dial --weights 0 --episodes 20"])
def test_another_checkpoint_can_be_evaluated(
    two: tuple[Path, Path], flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, other = two
    found = read_json(capsys, folder, f"--checkpoint best_by_labels {flags}")
    assert read_json(capsys, folder, f"--checkpoint {other} {flags}") == found
    assert read_json(capsys, folder, flags) != found
    title = f"routed in gridworld {TINY_TITLE} 0"
    for name, called in (("best_by_labels", "best by labels"), (other, f"checkpoint {other}")):
        assert run(folder, f"--checkpoint {name} {flags}") == 0
        assert " ".join(capsys.readouterr().out.split()).startswith(f"{title}, {called}")


def test_another_checkpoint_is_exported_and_taught(
    two: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, other = two
    path = tmp_path / "policy.safetensors"
    assert run(folder, f"--checkpoint best_by_labels --export {path}") == 0
    expected = load(folder, str(other)).deploy().state_dict()
    exported = load_policy(path).state_dict()
    assert all(torch.equal(exported[name], tensor) for name, tensor in expected.items())
    monkeypatch.setattr(relearning, "UPDATES", (0,))
    curves = read_json(capsys, folder, "--checkpoint best_by_labels --relearn ghost")
    diamond = read_json(capsys, folder, "--checkpoint best_by_labels")["diamond"]
    assert curves["diamond"]["0"]["reached"] == pytest.approx(diamond["outcomes"]["ghost"])


def test_evaluate_tabulates_profiles(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = read_json(capsys, trained, "--profiles")
    assert list(table) == ["diamond", "ghost", "diamond+ghost"]
    diamond = table["diamond"]
    assert diamond["allowed"] == pytest.approx(diamond["outcomes"]["diamond"])
    assert run(trained, "--profiles") == 0
    assert "Mean return over the 3 profiles" in capsys.readouterr().out


def test_evaluate_attacks_by_relearning(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relearning, "UPDATES", (0, 2))
    curves = read_json(capsys, trained, "--relearn ghost")
    assert list(curves) == ["diamond", "diamond, new head", "a fresh network"]
    assert set(curves["diamond"]) == {"0", "2"}
    first = [curve["0"]["reached"] for curve in curves.values()]
    assert len(set(first)) == 3
    reports = read_json(capsys, trained)
    assert first[0] == pytest.approx(reports["diamond"]["outcomes"]["ghost"])
    steered = read_json(capsys, trained, "--steer ghost=1 --relearn ghost")
    reached = steered["ghost=1"]["0"]["reached"]
    assert reached == pytest.approx(reports["ghost"]["outcomes"]["ghost"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--steer dimond=1", "Did you mean 'diamond'"),
        ("--steer diamond", "write name=weight"),
        ("--steer diamond=nan", "write name=weight"),
        ("--oversight 2", "oversight is 2"),
        ("--episodes 0", "episodes is 0"),
        ("--relearn goblin", "no outcome 'goblin'"),
        ("--profiles --relearn ghost", "one of them at a time"),
        ("--gif x.gif --relearn ghost", "one of them at a time"),
        ("--profiles --steer ghost=1", "one of them at a time"),
        ("--dial --profiles", "one of them at a time"),
        ("--dial --relearn ghost", "one of them at a time"),
        ("--dial --steer ghost=1", "one of them at a time"),
        ("--dial --gif x.gif", "one of them at a time"),
        ("--weights 0 1", "weights was given without dial"),
        ("--flagged-at-most 0.1", "flagged-at-most was given without dial"),
        ("--plot dial.png", "plot was given without dial"),
        ("--dial --flagged-at-most 0", "flagged-at-most is 0.0"),
        ("--dial --weights nan", "weights has nan"),
        ("--dial --plot dial.gif", "end the name in"),
        ("--dial --plot nowhere/dial.png", "there is no folder nowhere"),
        ("--dial --oversight 0", "give --oversight above 0"),
        ("--gif film.avi", "end the name in .gif or .mp4"),
        ("--checkpoint best_by_labels", "there are best_by_truth, last, previous."),
        ("--checkpoint no/such.pt --dial", "there is no checkpoint 'no/such.pt'"),
        ("--export nowhere/policy.safetensors", "there is no folder nowhere"),
    ],
)
def test_wrong_input_is_one_line(
    flags: str, words: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(trained, flags) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_evaluate_exports_and_films(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.safetensors"
    gif = tmp_path / "film.gif"
    assert run(trained, f"--export {path}") == 0
    assert list(load_policy(path).torso.experts) == ["diamond"]
    assert f"Wrote {path}, of the policy diamond." in capsys.readouterr().out
    assert run(trained, f"--export {path}") == 2
    assert "exists" in capsys.readouterr().err
    assert run(trained, f"--gif {gif} --json") == 0
    assert gif.stat().st_size > 1000
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == ["mixture", "diamond", "ghost"]
    assert err == f"Wrote {gif}, of the policy diamond.\n"
