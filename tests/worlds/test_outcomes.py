from __future__ import annotations

import torch

from routed_rl.worlds.outcomes import NOTHING, Label, expert_of, names_outcome, outcome_of


def test_expert_k_is_that_of_outcome_k_plus_one() -> None:
    outcomes = torch.tensor([1, 2, 3])
    assert expert_of(outcomes).tolist() == [0, 1, 2]
    assert torch.equal(outcome_of(expert_of(outcomes)), outcomes)


def test_only_outcomes_that_were_reached_are_known_and_have_an_expert() -> None:
    label = torch.tensor([*Label, 1, 2])
    assert names_outcome(label).tolist() == [False, False, False, True, True]
    assert torch.equal(expert_of(label) >= 0, names_outcome(label))
    assert Label.NOTHING == NOTHING == 0
