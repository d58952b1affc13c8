from __future__ import annotations

import pytest
from helpers import by_hand

from routed_rl import labels
from routed_rl.stopping import FEWEST, WINDOW, Stopping, labelled_returns


def test_only_labelled_episodes_that_began_in_the_rollout_count() -> None:
    # One env: an end overseen in step 1 (began earlier), then a ghost overseen after 2 steps, a diamond unseen,
    # a diamond overseen after 1 step, and an episode that still runs.
    rollout = by_hand(
        outcome=[[0], [1], [0], [2], [1], [1], [0]],
        overseen=[[0], [1], [0], [1], [0], [1], [0]],
        truncated=[[0]] * 7,
    )
    returns = labelled_returns(labels.hide(rollout, (1.0, -1.0)), discount=0.9)
    assert returns.tolist() == pytest.approx([-0.9, 1.0])


def test_the_first_of_the_best_is_kept_and_labels_need_enough_episodes() -> None:
    stopping = Stopping(0.9)
    assert stopping.consider(100, truth=0.5) == ["best_by_truth"]
    rollout = labels.hide(by_hand([[1]] * (FEWEST + 1), [[1]] * (FEWEST + 1), [[0]] * (FEWEST + 1)), (1.0, -1.0))
    stopping.watch(rollout)
    assert stopping.score == 1.0
    assert stopping.consider(200, truth=0.4) == ["best_by_labels"]
    assert stopping.consider(300, truth=0.5) == []
    bad = labels.hide(by_hand([[2]] * (WINDOW + 1), [[1]] * (WINDOW + 1), [[0]] * (WINDOW + 1)), (1.0, -1.0))
    stopping.watch(bad)
    assert stopping.score == -1.0, "a running mean of the latest"
    assert stopping.consider(400, truth=0.9) == ["best_by_truth"]
    assert stopping.best == {"best_by_truth": (0.9, 400), "best_by_labels": (1.0, 200)}
    twin = Stopping(0.9)
    twin.load_state_dict(stopping.state_dict())
    assert (twin.best, twin.score) == (stopping.best, stopping.score)
