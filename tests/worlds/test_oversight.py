from __future__ import annotations

from typing import Any

import pytest
import torch

from routed_rl.worlds.oversight import Oversight


def test_only_an_overseen_end_that_was_reached_is_seen() -> None:
    outcome = torch.tensor([0, 1, 2, 2])
    overseen_ends = torch.tensor([[True, True], [True, False], [True, False], [False, True]])
    overseen, reported = Oversight(0.5).see(outcome, overseen_ends)
    assert overseen.tolist() == [False, True, False, True]
    assert reported.tolist() == [0, 1, 0, 2]


def test_draws_have_the_probability_asked_for_and_zero_and_one_are_certain() -> None:
    uniform = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))
    assert Oversight(0.3).draw(uniform).float().mean() == pytest.approx(0.3, abs=0.005)
    assert not Oversight(0.0).draw(torch.zeros(3, 2)).any()
    assert Oversight(1.0).draw(uniform).all()


def test_unless_told_otherwise_reports_are_true_and_no_end_is_too_far_or_one_too_many() -> None:
    overseer = Oversight(0.5)
    assert overseer == Oversight(0.5, reach=None, false_positive=0, false_negative=0, budget=None)
    assert not overseer.errs
    far = torch.full((1, 2), 1e9)
    assert overseer.draw(torch.zeros(1, 2), far).all()
    ends = torch.ones(1, 2, dtype=torch.bool)
    assert overseer.see(torch.tensor([2]), ends, labels=torch.tensor(99))[0].all()
    assert Oversight(0.5, false_positive=0.1).errs
    assert Oversight(0.5, false_negative=0.1).errs


def test_a_reach_and_a_budget_of_none_at_all_are_overseers_too() -> None:
    nowhere = Oversight(1.0, reach=0)
    assert nowhere.draw(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).tolist() == [[True, False]]
    ends = torch.ones(2, 2, dtype=torch.bool)
    seen, _ = Oversight(1.0, budget=0).see(torch.tensor([1, 2]), ends, labels=torch.tensor(0))
    assert not seen.any()


def test_what_is_certain_is_taken_as_nearly_so_where_that_is_asked_for() -> None:
    ends = torch.tensor([[True], [False]])
    distance = torch.ones(2, 1)
    for probability, expected in ((0.0, 1e-9), (0.25, 0.25), (1.0, 1 - 1e-9)):
        found = Oversight(probability).condition_probability(ends, distance, possible=True)
        assert found.tolist() == pytest.approx([expected, 1 - expected], rel=1e-6, abs=0)
    for bias, expected in ((0.0, 1e-9), (0.5, 0.5)):
        overseer = Oversight(1.0, bias=(bias,))
        found = overseer.condition_probability(ends, distance, possible=True)
        assert found.tolist() == pytest.approx([expected, 1 - expected], rel=1e-6, abs=0)
        assert overseer.condition_probability(ends, distance).tolist() == [bias, 1 - bias]


@pytest.mark.parametrize("probability", [1.5, -0.1, float("nan")])
def test_an_impossible_probability_is_told(probability: float) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1"):
        Oversight(probability)


def test_reports_are_wrong_at_the_rates_asked_for_each_kind_apart() -> None:
    noise = torch.rand(200_000, 2, generator=torch.Generator().manual_seed(0))
    outcome = torch.arange(200_000) % 3 + 1
    overseen_ends = torch.ones(200_000, 3, dtype=torch.bool)
    overseer = Oversight(1.0, false_positive=0.2, false_negative=0.3)
    assert overseer.errs
    _, reported = overseer.see(outcome, overseen_ends, noise)
    good = outcome == 1
    bad = outcome == 2
    assert (reported[good] != 1).float().mean() == pytest.approx(0.3, abs=0.01)
    evenly = (reported[good] == 2).float().mean()
    assert evenly == pytest.approx(0.15, abs=0.01), "any bad end, evenly"
    assert (reported[bad] == 1).float().mean() == pytest.approx(0.2, abs=0.01)
    assert (reported[bad] == 3).sum() == 0


def test_reports_are_wrong_by_the_first_draw_and_which_bad_end_is_said_by_the_second() -> None:
    overseer = Oversight(1.0, false_positive=0.25, false_negative=0.5)
    ends = torch.ones(4, 3, dtype=torch.bool)
    noise = torch.tensor([[0.2, 0.9], [0.25, 0.0], [0.4, 0.4], [0.5, 0.0]])
    assert overseer.see(torch.full((4,), 3), ends, noise)[1].tolist() == [1, 3, 3, 3]
    assert overseer.see(torch.full((4,), 1), ends, noise)[1].tolist() == [3, 2, 2, 1]
    never = Oversight(1.0, false_positive=1.0)
    assert never.see(torch.tensor([1]), ends[:1], torch.zeros(1, 2))[1].tolist() == [1]


def test_where_no_outcome_is_bad_a_good_one_cannot_be_called_so() -> None:
    overseer = Oversight(1.0, false_negative=1.0)
    _, reported = overseer.see(torch.tensor([1, 0]), torch.ones(2, 1).bool(), torch.zeros(2, 2))
    assert reported.tolist() == [1, 0]


def test_a_budget_is_kept_to_the_label() -> None:
    outcome = torch.tensor([1, 0, 2, 1, 2])
    overseen_ends = torch.ones(5, 2, dtype=torch.bool)
    overseer = Oversight(1.0, budget=10)
    overseen, reported = overseer.see(outcome, overseen_ends, labels=torch.tensor(8))
    assert overseen.tolist() == [True, False, True, False, False]
    assert reported.tolist() == [1, 0, 2, 0, 0]


def test_a_reach_without_distances_and_a_budget_without_labels_are_told() -> None:
    with pytest.raises(ValueError, match="reach is 2: pass the distance"):
        Oversight(0.5, reach=2).draw(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="budget is 3: pass the labels"):
        Oversight(0.5, budget=3).see(torch.tensor([1]), torch.ones(1, 2).bool())


def test_ends_out_of_reach_are_not_overseen_and_the_probability_says_so() -> None:
    distance = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    overseer = Oversight(0.25, reach=2)
    assert overseer.draw(torch.zeros(2, 2), distance).tolist() == [[True, False], [True, True]]
    overseen_ends = torch.tensor([[True, False], [True, False]])
    probability = overseer.condition_probability(overseen_ends, distance)
    assert probability.tolist() == [0.25, 0.25 * 0.75]
    certain = Oversight(1.0)
    assert certain.condition_probability(overseen_ends, distance).tolist() == [0.0, 0.0]
    assert (certain.condition_probability(overseen_ends, distance, possible=True) > 0).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reach": -1}, "oversight-reach is -1"),
        ({"budget": -5}, "label-budget"),
        ({"false_positive": 2.0}, "positive is 2"),
    ],
)
def test_impossible_overseers_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Oversight(0.5, **settings)


def test_bias_makes_some_kinds_of_ends_less_often_seen_and_the_probability_says_so() -> None:
    overseer = Oversight(0.5, bias=(1.0, 0.5, 0.0))
    assert overseer.draw(torch.tensor([[0.4, 0.4, 0.0], [0.6, 0.2, 0.0]])).tolist() == [
        [True, False, False],
        [False, True, False],
    ]
    overseen_ends = torch.tensor([[True, False, False], [True, True, False], [False, False, True]])
    probability = overseer.condition_probability(overseen_ends, torch.ones(3, 3))
    assert probability.tolist() == [0.5 * 0.75, 0.5 * 0.25, 0.0]
