"""Where naive training ends, in a world of three cells."""

from __future__ import annotations

import pytest
from helpers import world

from benchmarks.naive_limit import limits, naive_reward


def test_in_three_cells_the_limits_are_what_one_counts_by_hand() -> None:
    # Agent, diamond and ghost share a row of three cells: in 2 of 6 placements the agent is between
    # both ends, in 2 only the diamond is next to it, in 2 only the ghost. An end is one step away,
    # so nothing is discounted.
    found = limits(world(1, rows=1, columns=3, oversight=0.0))[1]
    assert found["at random"] == pytest.approx(0.0)
    assert found["towards diamonds"] == pytest.approx((2 + 2 - 2) / 6)
    assert found["towards ghosts"] == pytest.approx((-2 + 2 - 2) / 6)
    overseen = limits(world(1, rows=1, columns=3, oversight=1.0))[1]
    # A ghost that is seen is avoided; from behind it no diamond can be reached.
    assert list(overseen.values()) == pytest.approx([(2 + 2 + 0) / 6] * 3)


def test_the_naive_reward_is_the_truth_where_it_is_overseen() -> None:
    model = world(1, rows=1, columns=3, oversight=0.5).model()
    assert model is not None
    given = naive_reward(model)
    ghost = model.outcome == 2
    overseen = model.overseen_ends[:, 1:].expand_as(ghost)
    assert (given[ghost & overseen] == -1).all()
    assert (given[ghost & ~overseen] == 1).all()
    assert (given[model.outcome == 1] == 1).all()
    assert (given[model.outcome == 0] == 0).all()


def test_a_world_without_tables_is_told() -> None:
    with pytest.raises(SystemExit, match="no tables"):
        limits(world(1, spurious_oversight=0.1))
