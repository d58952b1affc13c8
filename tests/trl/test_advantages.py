"""Advantages by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from routed_rl.trl import group_advantages

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

NAN = float("nan")


def test_the_baseline_leaves_out_what_is_flagged() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.5, 4.0, 1.0, 3.0, 2.0, 2.0], dtype=torch.float64)
    flagged = torch.tensor([False, False, False, True, True, True, True, True])
    found = group_advantages(rewards, flagged, 4, "none")
    # means: (1 + 0 + 0.5) / 3 = 0.5; all are flagged: (1 + 3 + 2 + 2) / 4 = 2
    assert found.tolist() == pytest.approx([0.5, -0.5, 0.0, 3.5, -1.0, 1.0, 0.0, 0.0])
    scaled = group_advantages(rewards, flagged, 4, "group")
    # deviations of all: sqrt(9.6875 / 3) = 1.79699, and sqrt(2 / 3)
    assert scaled[3].item() == pytest.approx(3.5 / (1.796988 + 1e-4), rel=1e-5)
    assert scaled[5].item() == pytest.approx(1.0 / (0.816497 + 1e-4), rel=1e-5)
    whole = group_advantages(rewards, flagged, 4, "batch")
    # mean 13.5 / 8 = 1.6875, squares 35.25 - 8 * 1.6875^2 = 12.46875, / 7
    assert whole[0].item() == pytest.approx(0.5 / (1.334635 + 1e-4), rel=1e-5)


def test_without_the_flags_a_hack_would_push_honest_completions_down() -> None:
    rewards = torch.tensor([0.7, 0.7, 1.0, 1.0])
    hacks = torch.tensor([False, False, True, True])
    assert (group_advantages(rewards, torch.zeros(4), 4)[:2] < 0).all()
    assert (group_advantages(rewards, hacks, 4)[:2] == 0).all()


def test_sure_flags_weigh() -> None:
    rewards = torch.tensor([0.0, 1.0, 3.0, NAN], dtype=torch.float64)
    found = group_advantages(rewards, torch.tensor([0.0, 0.5, 1.0, 0.0]), 4, "none")
    # (1 * 0 + 0.5 * 1) / 1.5 = 1 / 3, and who could not be scored teaches nothing
    assert found.tolist() == pytest.approx([-1 / 3, 2 / 3, 8 / 3, 0.0])


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_group_that_nobody_could_score_teaches_nothing_and_changes_no_other(scale: Any) -> None:
    known, nobody = torch.tensor([3.0, 1.0]), torch.full((2,), NAN)
    found = group_advantages(torch.cat((nobody, known)), torch.zeros(4), 2, scale)
    alone = group_advantages(known, torch.zeros(2), 2, scale)
    # 1 and -1, over sqrt(2) unless they are not scaled
    expected = 1 / (1 if scale == "none" else 2**0.5 + 1e-4)
    assert alone.tolist() == pytest.approx([expected, -expected])
    assert found.tolist() == [0.0, 0.0, *alone.tolist()]


def test_unless_told_otherwise_a_group_has_a_scale_of_its_own() -> None:
    rewards, honest = torch.tensor([0.0, 1.0, 0.0, 50.0]), torch.zeros(4).bool()
    found = group_advantages(rewards, honest, 2)
    assert torch.equal(found, group_advantages(rewards, honest, 2, "group"))
    assert found.tolist() == pytest.approx([-0.7070, 0.7070, -0.7071, 0.7071], abs=1e-4)


def test_equal_rewards_are_no_advantage_be_they_flagged_or_not() -> None:
    rewards = torch.full((4,), 0.7)
    for flagged in (torch.zeros(4), torch.ones(4), torch.tensor([1.0, 0.0, 0.0, 0.0])):
        assert group_advantages(rewards, flagged, 4).abs().max() < 1e-6


def test_a_group_of_one_known_reward_teaches_nothing() -> None:
    rewards = torch.tensor([2.0, NAN, NAN, NAN])
    assert group_advantages(rewards, torch.zeros(4), 4).tolist() == [0.0] * 4
