"""The scripts of docs/language_models.md run; those of the hub, on a small model and data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import transformers
import trl
from helpers import ROOT
from tiny_language import SUMS, llama, tokenizer

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

PAGE = (ROOT / "docs" / "language_models.md").read_text()
PLAIN, ROUTED, AFTERWARDS, *OFFLINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MODEL = "Qwen/Qwen2.5-0.5B-Instruct"


def test_three_lines_differ_and_the_detector() -> None:
    before, after = PLAIN.splitlines(), ROUTED.splitlines()
    new = [line for line in after if line not in before]
    assert len([line for line in before if line not in after]) == 3
    assert len(new) == 3 + 3  # the detector, and the line that names it


def test_both_scripts_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    llama().save_pretrained(str(folder))
    tokenizer().save_pretrained(str(folder))
    small = datasets.Dataset.from_dict({"prompt": SUMS[:2]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: small)
    short = trl.GRPOConfig.__init__

    def brief(self: Any, *args: Any, **kwargs: Any) -> None:
        short(self, *args, max_completion_length=8, max_steps=2, use_cpu=True, bf16=False, **kwargs)

    monkeypatch.setattr(trl.GRPOConfig, "__init__", brief)
    monkeypatch.chdir(tmp_path)
    said: dict[str, Any] = {}
    for script in (PLAIN, ROUTED + AFTERWARDS):
        said = {}
        exec(script.replace(MODEL, str(folder)), said)
        assert said["trainer"].state.global_step == 2
    plain = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "deployed"))
    ids = torch.tensor([[2, 3, 4]])
    theirs = said["trainer"].model(input_ids=ids).logits
    torch.testing.assert_close(plain(ids).logits, theirs.to(plain.dtype), atol=1e-4, rtol=1e-4)


def test_the_blocks_without_a_hub_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {}
    steps = []
    for block in OFFLINE:
        exec(block, session)
        steps += [session["trainer"].state.global_step] if "trainer.train(" in block else []
    assert steps == [4, 4, 4, 4, 6]  # GRPO, SFT, DPO, flags of tokens, and SFT resumed
    plain = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "runs" / "deployed"))
    ids = torch.tensor([[2, 3, 4]])
    torch.testing.assert_close(plain(ids).logits, session["model"](ids).logits)
