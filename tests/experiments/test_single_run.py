"""The figures of one run show all its policies."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_run

from routed_rl.experiments import single_run
from routed_rl.utils.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_run(tmp_path / "run", 0.5, agent="routed", seed=3)
    rows = [
        "env_steps,eval/policy/return,eval/mixture/return,eval/policy/unwatched",
        "100,0.25,0.125,0.1",
        "150,,,",
        "200,0.5,0.0,0.4",
    ]
    (tmp_path / "run" / "metrics.csv").write_text("\n".join(rows) + "\n")
    text = (tmp_path / "run" / "result.json").read_text()
    mixture = '"policies": {"mixture": {"return": 0, "exact": true, "outcomes": {}, '
    text = text.replace('"policies": {', mixture + '"mean_length": 1},', 1)
    (tmp_path / "run" / "result.json").write_text(text)
    return tmp_path / "run"


def test_every_policy_has_a_curve_and_the_deployed_one_is_first(folder: Path) -> None:
    run = single_run.read_run(folder)
    assert run.title == "routed in gridworld, oversight 0.1, seed 3"
    figure = single_run.learning(run, "return")
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(lines) == ["policy (deployed)", "mixture", "best possible 0.93"]
    assert list(lines["mixture"].get_xdata()) == [100, 200]
    assert list(lines["mixture"].get_ydata()) == [0.125, 0.0]
    assert [line.get_linestyle() for line in lines.values()] == ["-", "--", "-"]
    assert {line.get_color() for line in list(lines.values())[:2]} == {"#0072b2"}, "the agent's"


def test_what_was_not_measured_has_no_figure(folder: Path, tmp_path: Path) -> None:
    files = single_run.draw_run(single_run.read_run(folder), tmp_path / "out")
    names = {"return_against_steps", "unwatched_against_steps"}
    assert {file.stem for file in files} == names
    assert set(files) == set((tmp_path / "out").iterdir())


def test_what_is_wrong_is_said(folder: Path) -> None:
    (folder / "metrics.csv").write_text("eval/policy/return\n1\n")
    with pytest.raises(UserError, match="run cannot be read: KeyError: 'env_steps'"):
        single_run.read_run(folder)
    (folder / "result.json").unlink()
    with pytest.raises(UserError, match=r"not finished: .* train\.py --resume"):
        single_run.read_run(folder)
