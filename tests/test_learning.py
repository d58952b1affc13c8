"""Does it learn? Minutes long: `make slow`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routed_rl.cli import run_command
from routed_rl.commands.train import train


def deployed(folder: Path, *flags: str) -> dict[str, float]:
    assert run_command(train, ["--run-dir", str(folder), "--evaluations", "1", *flags]) == 0
    result = json.loads((folder / "result.json").read_text())
    return {name: report["return"] for name, report in result["policies"].items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 100])
def test_the_default_run_grows_an_expert_that_seeks_the_diamond(tmp_path: Path, seed: int) -> None:
    returns = deployed(tmp_path / "run", "--seed", str(seed))
    assert returns["diamond"] >= 0.60
    assert returns["ghost"] <= -0.5
    assert abs(returns["mixture"]) < 0.3


@pytest.mark.slow
def test_random_routes_grow_none(tmp_path: Path) -> None:
    assert deployed(tmp_path / "run", "--agent.routes", "random", "--steps", "500000")["diamond"] < 0.3
