"""What runs that differ by their seed have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import fake_run, some_runs

from routed_rl.experiments import results, summaries
from routed_rl.experiments.results import Result

HIDDEN = "naive, oversight hidden"


@pytest.fixture
def found(tmp_path: Path) -> Sequence[Result]:
    some_runs(tmp_path)
    fake_run(tmp_path / "hidden-2", 0.7, seed=2, hide_oversight=True)
    return [result for result in results.load(tmp_path)[0] if result.world == "gridworld"]


def test_a_summary_has_an_interval_around_the_mean_and_one_seed_has_none() -> None:
    four = summaries.summarise([1.0, 2.0, 3.0, 4.0])
    assert four.low < four.mean == 2.5 < four.high
    assert summaries.summarise([2.0]) == (2.0, 2.0, 2.0, 2.0, 1)
    assert summaries.summarise([2.0, 2.0]) == (2.0, 2.0, 2.0, 2.0, 2)
    eight = summaries.summarise([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 90.0, 90.0])
    assert eight.iqm == 2.5, "the mean of the middle half"
    assert four._replace(low=1, high=4).text(".1f") == "2.5 (1.0 to 4.0)"
    assert summaries.summarise([2.0]).text(".1f") == "2.0"
    assert four._replace(low=1, high=4).text(".1f", bold=True) == "**2.5** (1.0 to 4.0)"


def test_means_and_intervals_by_hand(found: Sequence[Result]) -> None:
    table = summaries.tabulate(found, "return", "policies")
    assert list(table) == ["naive", HIDDEN]
    naive = table["naive"][0.1]
    assert naive.mean == pytest.approx(0.4)
    assert naive.iqm == pytest.approx(0.4), "a quarter of three is none"
    assert naive.n == 3
    assert 0.1 <= naive.low < 0.4 < naive.high <= 0.9
    assert table["naive"][0.3] == (0.4, 0.4, 0.4, 0.4, 1)
    best = summaries.tabulate(found, "return", "best_by_labels")
    assert best["naive"][0.1].mean == pytest.approx(0.5)
    unwatched = summaries.tabulate(found, "unwatched", "policies")
    assert unwatched["naive"][0.1].mean == pytest.approx(0.3)
    assert summaries.tabulate(found, "return", "best_by_truth") == {}


def test_differences_are_paired_by_seed(found: Sequence[Result]) -> None:
    table = summaries.differences(found, "return", "policies", "naive")
    assert list(table) == [HIDDEN]
    assert list(table[HIDDEN]) == [0.1]
    row = table[HIDDEN][0.1]
    assert row.mean == pytest.approx((0.5 - 0.1 + 0.7 - 0.9) / 2)
    assert row.n == 2, "seed 1 has no partner"


def test_worlds_stand_beside_each_other(tmp_path: Path) -> None:
    every = results.load(some_runs(tmp_path))[0]
    table = summaries.by_world(every, "return", "policies", 0.1)
    methods = {world: list(row) for world, row in table.items()}
    assert methods == {"gridworld": ["naive", HIDDEN], "lake": ["naive"]}
    assert list(summaries.by_world(every, "return", "policies", 0.3)) == ["gridworld"]


def test_it_is_said_over_how_many_seeds() -> None:
    assert summaries.over_seeds("mean", [1, 1]) == "one seed"
    assert summaries.over_seeds("mean", [3, 3]) == "mean, 3 seeds"
    assert summaries.over_seeds("mean", [2, 1, 3]) == "mean, 1 to 3 seeds; none for one seed"
    assert summaries.over_seeds("mean", [2, 3], "pair") == "mean, 2 to 3 pairs"
