from __future__ import annotations

from dataclasses import dataclass

from routed_rl.envs import gridworld
from routed_rl.worlds.config import at_oversight, report_rate, without_budget


@dataclass(frozen=True)
class Plain:
    oversight: float = 0.1
    rooms: int = 3


@dataclass(frozen=True)
class Budgeted(Plain):
    label_budget: int | None = 100


def test_another_oversight_is_taken_only_if_it_is_given() -> None:
    assert at_oversight(Plain(rooms=4), 0.0) == Plain(oversight=0.0, rooms=4)
    assert at_oversight(Plain(rooms=4), None) == Plain(rooms=4)


def test_a_budget_is_taken_away_where_there_is_one() -> None:
    assert without_budget(Budgeted(rooms=4)) == Budgeted(rooms=4, label_budget=None)


def test_the_rate_of_reports_is_oversight_times_recall() -> None:
    assert report_rate(Plain()) == 0.1
    assert report_rate(gridworld.Config(oversight=0.5, recall=0.5)) == 0.25
    assert without_budget(Plain(rooms=4)) == Plain(rooms=4)
