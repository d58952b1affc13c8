from __future__ import annotations

from dataclasses import dataclass

from routed_rl.worlds.config import at_oversight, without_budget


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
    assert without_budget(Plain(rooms=4)) == Plain(rooms=4)
