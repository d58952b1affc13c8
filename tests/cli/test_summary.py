"""Every table of every command, at every width: no number is cut."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from routed_rl.cli.evaluate import evaluate
from routed_rl.cli.main import run_command
from routed_rl.cli.summary import print_run, print_what_is_missing
from routed_rl.evaluation import relearning
from routed_rl.training.run import load

UPDATES = (0, 3, 10, 20, 30, 50, 100, 300)
COMMANDS = {
    "train": "",
    "evaluate": "--episodes 30 --steer diamond=1 ghost=-0.25",
    "dial": "--dial --weights -0.5 0 0.5 --episodes 30",
    "profiles": "--profiles",
    "relearn": "--relearn ghost",
}


def tables(folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a command, and return title of a column -> its cells, and the longest line."""
    capsys.readouterr()
    if command == "train":
        run = load(folder)
        result = run.result
        print_run(run, result["policies"], result["references"])
    else:
        assert run_command(evaluate, [str(folder), *shlex.split(COMMANDS[command])]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.replace("┃", "│").split("│")[1:-1] for line in lines if line[:1] in ("┃", "│")]
    titles, *rest = [[cell.strip() for cell in row] for row in rows]
    columns = dict(zip(titles, zip(*rest, strict=True), strict=True))
    return {"columns": columns, "longest": max(map(len, lines))}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_is_there_to_its_last_digit(
    command: str,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    curve = {update: {"reached": update / 1024, "return": -update / 7} for update in UPDATES}
    monkeypatch.setattr(relearning, "relearn", lambda *_, **__: curve)
    monkeypatch.setenv("COLUMNS", "400")
    whole = tables(trained, command, capsys)["columns"]
    for width in (40, 80, 100, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        found = tables(trained, command, capsys)
        assert found["longest"] <= width
        names, *others = found["columns"]
        assert others[0] == list(whole)[1]
        for title in others:
            assert found["columns"][title] == whole[title]
        if width > 40:
            assert found["columns"][names] == whole[names], "names are whole too"


def result(labelled: dict[str, int], **more: Any) -> Any:
    happened = dict.fromkeys(labelled, 9)
    plain = {"happened": happened, "labelled": labelled, "policies": dict.fromkeys(labelled)}
    return plain | {"labelled_episodes": sum(labelled.values())} | more


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (result({"good": 3, "bad": 5}), ""),
        (
            result({"good": 0, "bad": 1133}),
            "warning: 0 of 1,133 labels were good: the good expert had none to learn from. "
            "Oversee more, or train for longer.",
        ),
        (
            result({"good": 0, "bad": 0}),
            "warning: there was no label: the experts had none to learn from. "
            "Oversee more, or train for longer.",
        ),
        # One network, and experts of what a detector flags, wait for no such labels.
        (result({"good": 0, "bad": 5}, policies={"policy": None}), ""),
        (result({"good": 0, "bad": 5}, policies={"good": None, "flagged": None}), ""),
        # Older runs counted all together, and maybe counted by kind from their middle on.
        (result({}), ""),
        (result({"good": 0, "bad": 5}, labelled_episodes=9), ""),
    ],
)
def test_what_experts_had_nothing_to_learn_from_is_said(
    found: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_what_is_missing(found)
    out, err = capsys.readouterr()
    assert out == ""
    assert " ".join(err.split()) == said
