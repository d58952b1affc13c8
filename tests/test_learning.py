"""Does it learn? Minutes long: `make slow`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run


def returns(folder: Path, *flags: str) -> dict[str, float]:
    """Train, and return what each policy returns."""
    assert run("--run-dir", str(folder), "--evaluations", "1", *flags) == 0
    result = json.loads((folder / "result.json").read_text())
    return {name: report["return"] for name, report in result["policies"].items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 100])
def test_the_default_run_grows_an_expert_that_seeks_the_diamond(tmp_path: Path, seed: int) -> None:
    found = returns(tmp_path / "run", "--seed", str(seed))
    assert found["diamond"] >= 0.60
    assert found["ghost"] <= -0.5
    assert abs(found["mixture"]) < 0.3


@pytest.mark.slow
def test_random_routes_grow_none(tmp_path: Path) -> None:
    found = returns(tmp_path / "run", "--agent.routes", "random", "--steps", "500000")
    assert found["diamond"] < 0.3
