"""The picture of the dial can be drawn from whatever an evaluation found."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed_rl.evaluation.dial import Dial, DialPoint
from routed_rl.evaluation.report import Report
from routed_rl.experiments.dial_figure import draw_dial


def point(weight: float, flagged: float, error: float | None) -> DialPoint:
    report = Report(
        true_return=-weight,
        exact=error is None,
        standard_error=error,
        outcomes={},
        outcomes_per_episode={"diamond": 0.5, "ghost": flagged},
        mean_length=1.0,
    )
    return DialPoint(weight, {}, report, flagged, flagged + 0.01, 100)


@pytest.mark.parametrize("bound", [0.2, 0.001])
@pytest.mark.parametrize("error", [None, 0.1])
def test_it_names_what_is_chosen(bound: float, error: float | None, tmp_path: Path) -> None:
    points = [point(-1.0, 0.0, error), point(0.5, 0.1, error), point(1.0, 0.9, error)]
    path = tmp_path / "dial.svg"
    draw_dial(Dial(points, bound), path, "routed in gridworld")
    # Of text drawn as paths the words stand beside it in comments.
    text = path.read_text()
    assert "<!-- routed in gridworld -->" in text
    assert "<!-- best by truth (cheats): -1 -->" in text
    assert ("<!-- chosen by labels: 0.5 -->" in text) == (bound == 0.2)
    assert text.count("<!-- ghost -->") == 1
    assert f"<!-- bound {bound:g} -->" in text
