"""Which checkpoint is the best by labels, and which by truth."""

from __future__ import annotations

import math

import pytest
from helpers import by_hand

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.training.checkpoint_selector import (
    CHOICES,
    FEWEST,
    WINDOW,
    CheckpointSelector,
    labelled_returns,
)


def ends(outcome: int, count: int) -> VisibleRollout:
    """Make a rollout of one environment in which each step is an overseen end."""
    rollout = by_hand([[outcome]] * count, [[1]] * count, [[0]] * count)
    return labels.hide(rollout, (1.0, -1.0))


def test_only_labelled_episodes_that_began_in_the_rollout_count() -> None:
    # One env: an end overseen in step 1 (began earlier), then a ghost overseen after 2 steps, a
    # diamond unseen, a diamond overseen after 1 step, and an episode that still runs.
    rollout = by_hand(
        outcome=[[0], [1], [0], [2], [1], [1], [0]],
        overseen=[[0], [1], [0], [1], [0], [1], [0]],
        truncated=[[0]] * 7,
    )
    returns = labelled_returns(labels.hide(rollout, (1.0, -1.0)), discount=0.9)
    assert returns.tolist() == pytest.approx([-0.9, 1.0])


def test_the_first_of_the_best_is_kept_and_labels_need_enough_episodes() -> None:
    selector = CheckpointSelector(0.9)
    assert math.isnan(selector.score)
    assert selector.consider(100, truth=0.5) == ["best_by_truth"]
    selector.observe(ends(1, FEWEST))
    # The first end's episode began before the rollout, so one is missing.
    assert selector.consider(150, truth=0.5) == []
    selector.observe(ends(1, 2))
    assert selector.score == 1.0
    assert selector.consider(200, truth=0.4) == ["best_by_labels"]
    assert selector.consider(300, truth=0.5) == []
    selector.observe(ends(2, WINDOW + 1))
    assert selector.score == -1.0, "a running mean of the latest"
    assert selector.consider(400, truth=0.9) == ["best_by_truth"]
    assert selector.best == {"best_by_truth": (0.9, 400), "best_by_labels": (1.0, 200)}
    assert set(selector.best) == set(CHOICES)


def test_its_state_goes_on() -> None:
    selector = CheckpointSelector(0.9)
    selector.observe(ends(1, FEWEST + 1))
    selector.consider(200, truth=0.4)
    twin = CheckpointSelector(0.9)
    twin.load_state_dict(selector.state_dict())
    assert (twin.best, twin.score) == (selector.best, selector.score)
    for one in (selector, twin):
        one.observe(ends(2, 2))
    assert twin.score == selector.score < 1.0
