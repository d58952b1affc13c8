"""arrows.jsonl: what policies did on a few boards, at each evaluation once."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from helpers import run, train_tiny
from PIL import Image

from routed_rl.training.run import load


def lines_of(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "arrows.jsonl").read_text().splitlines()]


def test_the_last_line_is_what_the_policies_do(trained: Path) -> None:
    boards, *moments = lines_of(trained)
    run_of = load(trained)
    scenes = run_of.setup.make_env(1, seed=0).scenes()
    assert [board["title"] for board in boards] == [scene.title for scene in scenes]
    picture = Image.open(io.BytesIO(base64.b64decode(boards[0]["png"])))
    assert (np.asarray(picture) == scenes[0].background).all()
    assert moments[-1]["env_steps"] == run_of.result["env_steps"]
    for name, policy in run_of.policies().items():
        looks = moments[-1]["policies"][name]
        shares = policy(scenes[2].obs).actions.softmax(dim=1)
        assert np.abs(np.array(looks[2]["actions"]) / 100 - shares.detach().numpy()).max() < 0.0051
        assert ("gate" in looks[2]) == (name == "mixture")


def test_a_run_that_goes_on_writes_no_moment_twice(tmp_path: Path) -> None:
    train_tiny(tmp_path / "whole", 2048)
    train_tiny(tmp_path / "parts", 1024)
    assert run("--resume", str(tmp_path / "parts"), "--steps", "2048") == 0
    steps = [moment["env_steps"] for moment in lines_of(tmp_path / "parts")[1:]]
    assert steps == sorted(set(steps))
    assert lines_of(tmp_path / "parts")[-1] == lines_of(tmp_path / "whole")[-1]
