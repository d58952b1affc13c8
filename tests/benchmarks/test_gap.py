"""How much of the gap each method closes, by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import gap
import pytest
from fake_runs import fake_run


def test_each_world_has_its_table_whatever_its_settings_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for env, ent_coef in (("gridworld", 0.1), ("looks", 0.1), ("point", 0.3)):
        for agent, value in (("naive", 0.2), ("filtered", 0.5), ("oracle", 0.6)):
            folder = tmp_path / f"{env}-{agent}"
            fake_run(folder, value, env=env, agent=agent, ent_coef=ent_coef)
    monkeypatch.setattr(gap, "MEASURES", {"return": "true return"})
    monkeypatch.setattr(sys, "argv", ["gap.py", str(tmp_path)])
    gap.main()
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("###")] == [
        "### gridworld",
        "### looks",
        "### point",
    ]
    assert printed.count("| filtered | 0.50 |") == 3
    assert printed.count("| 75% |") == 3, "0.3 of 0.4"
