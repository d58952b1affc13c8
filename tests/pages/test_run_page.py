"""The page of a run, and of a folder: one file each, that asks nobody for anything."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_runs import some_runs
from helpers import train_tiny

from routed_rl import report
from routed_rl.cli.main import main
from routed_rl.pages import film, folder_page, html, run_page
from routed_rl.training.run import load
from routed_rl.worlds.vec_env import VecEnv


def data_of(page: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_run_has_its_page_after_training(trained: Path) -> None:
    page = trained / "report.html"
    assert page.stat().st_size < 3_000_000
    data = data_of(page)
    assert data["deployed"] == "diamond"
    assert data["acting"] == "mixture"
    assert set(data["reports"]) == set(data["policies"]) == {"mixture", "diamond", "ghost"}
    assert data["world"]["weights"] == {
        "mixture": None,
        "diamond": {"diamond": 1.0},
        "ghost": {"ghost": 1.0},
    }
    steps = data["curve"]["env_steps"]
    assert steps == [moment["env_steps"] for moment in data["arrows"]["moments"]]
    assert len(data["curve"]["returns"]["mixture"]) == len(steps)


def test_nothing_in_it_comes_from_elsewhere(trained: Path) -> None:
    text = (trained / "report.html").read_text()
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert not re.search(r"<(link|iframe|script src|img)", text)


def test_a_name_cannot_become_code() -> None:
    name = "</script><script>alert(1)</script><!--"
    text = html.page(name, {"title": name}, ())
    assert "<script>alert" not in text
    assert text.count("</script>") == 2


def test_runs_beside_it_are_its_rivals(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "one")
    train_tiny(tmp_path / "two", 1024, "--agent", "oracle")
    train_tiny(tmp_path / "three", 1024, "--agent", "oracle", "--env.oversight", "0.7")
    rivals = data_of(run_page.write(load(tmp_path / "one")))["rivals"]
    assert [(row["method"], row["own"]) for row in rivals] == [("routed", True), ("oracle", False)]
    (points,) = [row["seeds"] for row in rivals if row["method"] == "oracle"]
    assert points == {"0": load(tmp_path / "two").result["policies"]["policy"].true_return}
    assert data_of(run_page.write(load(tmp_path / "one"), rivals=False))["rivals"] == []


def test_a_folder_has_a_table_of_its_runs(tmp_path: Path) -> None:
    data = data_of(folder_page.write(some_runs(tmp_path / "runs")))
    assert {row["run"] for row in data["runs"]} == {
        *("naive-0", "naive-1", "naive-2", "hidden", "other", "foreign"),
    }
    assert set(data["left_out"]) == {"notes", "running", "broken"}
    (cell,) = [
        cell for cell in data["cells"] if (cell["world"], cell["oversight"]) == ("gridworld", 0.1)
    ]
    naive = next(row for row in cell["methods"] if row["name"] == "naive")
    assert sorted(naive["points"]) == [0.1, 0.2, 0.9]
    assert naive["mean"] == pytest.approx(0.4)


def test_the_command_says_where_it_wrote(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "one")
    assert main("routed-rl", ["report", str(tmp_path / "one")]) == 0
    assert main("routed-rl", ["report", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'one' / 'report.html'}" in out
    assert f"{tmp_path / 'report.html'}" in out


def test_a_folder_without_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("routed-rl", ["report", str(tmp_path)]) == 2
    assert main("routed-rl", ["report", str(tmp_path / "nowhere")]) == 2
    assert main("routed-rl", ["report"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "no finished run" in lines[0]
    assert "there is no folder" in lines[1]


def test_an_unfinished_run_is_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "one")
    (tmp_path / "one" / "result.json").unlink()
    assert main("routed-rl", ["report", str(tmp_path / "one")]) == 2
    assert "--resume" in capsys.readouterr().err


class Drawn:
    """A world of one number that counts its steps, and is drawn as a grey of it."""

    device = torch.device("cpu")

    def __init__(self, env: VecEnv) -> None:
        self._env = env
        self.spec = env.spec
        self.steps = 0

    def reset(self) -> torch.Tensor:
        return self._env.reset()

    def step(self, actions: torch.Tensor) -> Any:
        self.steps += 1
        return self._env.step(actions)

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        return np.full((8, 400, 3), self.steps, np.uint8)


def test_a_film_has_a_picture_a_step(trained: Path) -> None:
    run_of = load(trained)
    policies = {"mixture": run_of.policies()["mixture"], "again": run_of.policies()["mixture"]}
    films = film.record(policies, lambda: Drawn(run_of.setup.make_env(1, seed=3)), seed=5)
    first = films["mixture"]
    assert films["again"] == first  # the same start and the same random numbers
    assert first["step"] == list(range(len(first["frames"])))
    assert first["outcome"][0] == ""
    assert first["outcome"][-1] in ("diamond", "ghost", "")
    assert first["paid"][-1] == (1.0 if first["outcome"][-1] else 0.0)
    assert all(frame.startswith("data:image/webp;base64,") for frame in first["frames"])


def test_a_long_film_leaves_frames_out(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of = load(trained)
    policies = {"mixture": run_of.policies()["mixture"]}

    def make_env() -> Any:
        return Drawn(run_of.setup.make_env(1, seed=3))

    whole = film.record(policies, make_env, seed=5)["mixture"]
    monkeypatch.setattr(film, "MOST_BYTES", 150)
    short = film.record(policies, make_env, seed=5)["mixture"]
    assert len(short["frames"]) < len(whole["frames"])
    assert short["step"][-1] == whole["step"][-1]  # the end is always there


def test_what_cannot_be_drawn_has_no_film(trained: Path) -> None:
    run_of = load(trained)

    def make_env() -> Any:
        env = run_of.setup.make_env(1, seed=3)
        env.render = lambda *args, **kwargs: None
        return env

    assert film.record(run_of.policies(), make_env, seed=5) == {}


def test_an_environment_that_ends_the_program_as_it_draws_has_a_page_without_a_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quits.py").write_text(QUITS)
    folder = tmp_path / "run"
    flags = "--agent naive --agent.hidden 4 --num-envs 4 --agent.rollout-steps 4 --steps 16"
    env = ["--env", str(tmp_path / "quits.py"), "--run-dir", str(folder)]
    assert main("train", [*env, *flags.split()]) == 0
    failed = data_of(folder / "report.html")["film"]["failed"]
    assert "environment quits, step 1, render raised SystemExit: 3 (quits.py:16)" in failed
    assert "Look at it" in capsys.readouterr().out


QUITS = """
from dataclasses import dataclass
import gymnasium as gym
import numpy as np
from routed_rl.envs import gridworld

@dataclass(frozen=True)
class Config(gridworld.Config):
    pass

class Quits(gridworld.Gridworld):
    def model(self):
        return None

    def render(self, index=0, mode="rgb_array", *, final=False):
        raise SystemExit(3)

def make(config, num_envs, *, seed, device):
    return Quits(config, num_envs, seed=seed, device=device)
"""


def test_a_folder_of_dials_has_their_curves(tmp_path: Path) -> None:
    for seed, solved in enumerate((0.25, 0.75)):
        dial = {"0.0": {"solved": solved, "seen": 0.0}, "1.0": {"solved": 0.5, "seen": 1.0}}
        run_of = {"arm": "routed", "seed": seed, "dial": dial}
        (tmp_path / f"routed-{seed}.json").write_text(json.dumps(run_of))
    (tmp_path / "penalty-0.json").write_text(
        json.dumps({"arm": "penalty", "seed": 0, "dial": {"1.0": {"solved": 1.0, "seen": 0.5}}})
    )
    (tmp_path / "notes.json").write_text("[1]")
    assert main("routed-rl", ["report", str(tmp_path)]) == 0
    arms = {row["arm"]: row for row in data_of(tmp_path / "report.html")["arms"]}
    assert arms["routed"] == {
        "arm": "routed",
        "seeds": 2,
        "scales": [0.0, 1.0],
        "measures": {"seen": [0.0, 1.0], "solved": [0.5, 0.5]},
    }
    assert arms["penalty"]["scales"] == [1.0]


@pytest.mark.parametrize("seed", ["Infinity", "NaN", "[1]", '"one"'])
def test_a_dial_that_is_none_is_one_line(
    tmp_path: Path, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'{{"arm": "routed", "seed": {seed}, "dial": {{"1.0": {{"solved": 1.0}}}}}}'
    (tmp_path / "routed.json").write_text(text)
    assert main("routed-rl", ["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}: a dial cannot be read")


@pytest.mark.parametrize("name", ["arrows.jsonl", "metrics.csv", "command.txt", "episodes.csv"])
@pytest.mark.parametrize("kept", [0, 0.3, 0.9, None])
def test_a_page_can_do_without_what_was_cut(
    trained: Path, tmp_path: Path, name: str, kept: float | None
) -> None:
    shutil.copytree(trained, tmp_path / "one")
    path = tmp_path / "one" / name
    if kept is None:
        path.unlink(missing_ok=True)
    elif path.exists():
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert data_of(report(tmp_path / "one"))["deployed"] == "diamond"


def test_a_resumed_run_shows_both_commands(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "one")
    lines = ["/home/me/.venv/bin/routed-rl train --seed 1", "", "train.py --resume 'a b'", "it's"]
    (tmp_path / "one" / "command.txt").write_text("\n".join(lines))
    commands = data_of(report(str(tmp_path / "one")))["commands"]
    assert commands == ["routed-rl train --seed 1", "python train.py --resume 'a b'", "it's"]
