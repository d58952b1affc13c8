"""A report is written to json and read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routed_rl import Report

FULL = Report(
    true_return=0.5,
    paid_return=0.7,
    score=0.9,
    exact=False,
    standard_error=0.1,
    episodes=12,
    unwatched=0.4,
    greedy=0.3,
    stepwise_return=0.2,
    outcomes={"diamond": 0.75, "none": 0.25},
    outcomes_per_episode={"diamond": 1.5},
    bad_per_episode=0.0,
    mean_length=3.5,
    by_oversight={"none": 0.4, "all": 0.6},
)


def test_what_is_written_is_read() -> None:
    plain = json.loads(json.dumps(FULL.to_json()))
    assert Report.from_json(plain) == FULL
    assert plain["return"] == 0.5
    assert "true_return" not in plain


def test_numbers_that_were_not_looked_for_are_left_out() -> None:
    little = Report(true_return=0.5, exact=True, outcomes={"none": 1.0}, mean_length=3.0)
    plain = little.to_json()
    assert set(plain) == {"return", "exact", "outcomes", "mean_length"}
    assert Report.from_json(plain) == little


def test_what_another_version_wrote_more_is_left_out() -> None:
    assert Report.from_json(FULL.to_json() | {"charm": 7}) == FULL


@pytest.mark.parametrize(
    "change",
    [
        *({"return": None}, {"exact": 1}, {"outcomes": [1]}, {"outcomes": {"diamond": "all"}}),
        *({"mean_length": "two"}, {"greedy": {}}, {"by_oversight": {"none": []}}),
    ],
)
def test_a_report_that_was_changed_is_told(change: dict[str, Any]) -> None:
    plain = {"return": 1, "exact": True, "outcomes": {"none": 1.0}, "mean_length": 2.0}
    assert Report.from_json(plain).to_json() == plain
    with pytest.raises(ValueError, match=r"and no|by name"):
        Report.from_json(plain | change)
