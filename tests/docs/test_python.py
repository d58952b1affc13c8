"""The Python of every page runs as it is copied, from top to bottom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from helpers import ROOT, run
from pages import BLOCKS, SHORTER, run_python, save_files

EXTRA = (pytest.mark.extras, pytest.mark.filterwarnings("ignore"))
NEEDS_TRL = {"docs/tutorials/language_model.md"}
ELSEWHERE = {"docs/language_models.md": "tests/trl/test_tutorial.py"}
"""Its model is on a hub."""
RUNNABLE = {block.page for block in BLOCKS if block.runs}
OTHERS = sorted(RUNNABLE - NEEDS_TRL - set(ELSEWHERE) - {"README.md", "docs/sb3.md"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_python("README.md", folder)
    result = json.loads((folder / "runs" / "mine" / "result.json").read_text())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(result["policies"]["diamond"]["return"])
    assert lines.count(lines[-1]) == 2, "the run, and the run reopened"
    assert list(names["policy"].torso.experts) == ["diamond"]


def test_the_world_to_drop_in_trains(folder: Path) -> None:
    save_files("README.md", folder)
    small = "--num-envs 8 --steps 256 --evaluations 0 --episodes 8 --agent.hidden 8"
    assert run("--env", "rooms", "--run-dir", "run", *small.split()) == 0
    assert '"bat"' in (folder / "run" / "result.json").read_text()


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_stable_baselines3(folder: Path) -> None:
    names = run_python("docs/sb3.md", folder)
    assert names["logits"].shape == (9, 2)
    assert (folder / "good.safetensors").exists()
    assert (folder / "runs" / "corridor" / "best_model.zip").exists()


def case(page: str) -> Any:
    return pytest.param(page, marks=pytest.mark.slow if "tutorials" in page else ())


@pytest.mark.parametrize("page", [case(page) for page in OTHERS])
def test_a_page(page: str, folder: Path) -> None:
    run_python(page, folder)


@pytest.mark.parametrize("page", [pytest.param(page, marks=EXTRA) for page in sorted(NEEDS_TRL)])
def test_a_page_that_needs_the_extra_trl(page: str, folder: Path) -> None:
    run_python(page, folder)
    assert (folder / "deployed" / "config.json").exists()


def test_what_is_said_of_gymnasium_holds(folder: Path) -> None:
    page = "docs/plugins.md"
    names: dict[str, Any] = run_python(page, folder)
    env = names["env"]
    assert names["obs"].shape == (64, 4 * 7 * 7)
    wrapper = re.findall(r"`gymnasium\.wrappers\.(.*?)`", (ROOT / page).read_text())[0]
    channels = eval(wrapper, {"env": env, **vars(gymnasium.wrappers)})
    assert channels.reset(seed=0)[0].shape == (4, 5, 5)
    assert names["envs"].unwrapped.env.spec.outcomes == ("diamond", "ghost")


@pytest.mark.parametrize("told", [told for told, _ in SHORTER])
def test_whatever_is_shortened_is_said_somewhere(told: str) -> None:
    assert any(re.search(told, block.code) for block in BLOCKS if block.language == "python")
