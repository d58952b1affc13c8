"""What docs/sb3.md says must run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

DOCS = (ROOT / "docs" / "sb3.md").read_text()
SHORTER = {
    "learn(40_000": "learn(4_000",
    "eval_freq=2000": "eval_freq=200",
    "n_eval_episodes=400": "n_eval_episodes=20",
}
"""What the page says, and what takes a test less time."""


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_its_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL))
    for told, short in SHORTER.items():
        assert told in code
        code = code.replace(told, short)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(compile(code, "docs/sb3.md", "exec"), names)
    assert names["logits"].shape == (9, 2)
    assert (tmp_path / "good.safetensors").exists()
    assert (tmp_path / "runs" / "corridor" / "best_model.zip").exists()
