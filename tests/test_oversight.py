from __future__ import annotations

import pytest
import torch

from routed_rl.oversight import Oversight


def test_only_an_overseen_end_that_was_reached_is_seen() -> None:
    outcome = torch.tensor([0, 1, 2, 2])
    watched = torch.tensor([[True, True], [True, False], [True, False], [False, True]])
    overseen, reported = Oversight(0.5).see(outcome, watched)
    assert overseen.tolist() == [False, True, False, True]
    assert reported.tolist() == [0, 1, 0, 2]


def test_draws_have_the_probability_asked_for_and_zero_and_one_are_certain() -> None:
    uniform = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))
    assert Oversight(0.3).draw(uniform).float().mean() == pytest.approx(0.3, abs=0.005)
    assert not Oversight(0.0).draw(torch.zeros(3, 2)).any()
    assert Oversight(1.0).draw(uniform).all()


@pytest.mark.parametrize("probability", [1.5, -0.1, float("nan")])
def test_an_impossible_probability_is_told(probability: float) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1"):
        Oversight(probability)
