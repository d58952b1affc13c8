"""Which checkpoint is the best by labels, and which by truth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from helpers import BY_HAND, CPU, OPEN, by_hand, on_the_way, train_tiny

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.training.checkpoint_selector import (
    CHOICES,
    FEWEST,
    WINDOW,
    CheckpointSelector,
    RunningEpisodes,
    labelled_returns,
)


def ends(outcome: int, count: int) -> VisibleRollout:
    """Make a rollout of one environment in which each step is an overseen end."""
    rollout = by_hand([[outcome]] * count, [[1]] * count, [[0]] * count)
    return labels.hide(rollout, BY_HAND)


def test_only_labelled_episodes_that_began_in_the_rollout_count() -> None:
    # One env: an end overseen in step 1 (began earlier), then a ghost overseen after 2 steps, a
    # diamond unseen, a diamond overseen after 1 step, and an episode that still runs.
    rollout = by_hand(
        outcome=[[0], [1], [0], [2], [1], [1], [0]],
        overseen=[[0], [1], [0], [1], [0], [1], [0]],
        truncated=[[0]] * 7,
    )
    returns = labelled_returns(labels.hide(rollout, BY_HAND), discount=0.9)
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


def open_rollout() -> VisibleRollout:
    """Make four environments that end episodes in steps 0 and 3, and pay t + 1 in step t.

    Environments 0 and 1 meet a ghost, which costs 3, and a diamond, 2 and 3 meet nothing. Of
    environment 1 one step is not seen, and of environment 3 none is.
    """
    rollout = on_the_way(
        outcome=[[0, 0, 0, 0], [2, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        overseen=[[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]],
        terminated=[[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]],
    )
    return labels.hide(rollout, OPEN)


def test_where_outcomes_end_nothing_episodes_count_of_which_everything_is_known() -> None:
    found = labelled_returns(open_rollout(), discount=0.5)
    assert found.tolist() == [-1 + 0.5 * 3 + 0.25 * 4, 2 + 0.5 * 3 + 0.25 * 4]


def test_episodes_that_go_on_from_one_rollout_to_the_next_are_followed() -> None:
    running = RunningEpisodes(4, 0.5, CPU)
    # First episodes end at once: paid 1, of the last nothing is known.
    assert running.go_on(open_rollout()).tolist() == [1, 1, 1]
    # One step worth 5 has been played. Now the next episode ends in step 0, too ...
    assert running.go_on(open_rollout()).tolist() == [5.5, 5.5, 5.5]
    # ... and now it goes on for a whole rollout: in environment 1 a step of it is not seen.
    whole = on_the_way([[0] * 4] * 2, [[1, 1, 1, 0], [1, 0, 1, 0]], [[0] * 4] * 2)
    assert running.go_on(labels.hide(whole, OPEN)).tolist() == []
    twin = RunningEpisodes(4, 0.5, CPU)
    twin.load_state_dict(running.state_dict())
    again = on_the_way([[2] * 4], [[1] * 4], [[1] * 4])
    for one in (running, twin):
        # Worth 5, then 1, 2, and 1 less 3 in the step that ends it.
        expected = 5 + 0.5 * 1 + 0.25 * 2 + 0.125 * -2
        assert one.go_on(labels.hide(again, OPEN)).tolist() == [expected] * 2
    running.begin_anew()
    fresh = running.go_on(labels.hide(again, OPEN))
    assert fresh.tolist() == [-2] * 4


def test_a_selector_counts_followed_episodes_beside_those_of_a_rollout_and_none_twice() -> None:
    running = RunningEpisodes(4, 0.5, CPU)
    selector = CheckpointSelector(0.5, running)
    selector.observe(open_rollout())
    found = torch.tensor([1, 1, 1, 1.5, 4.5])
    assert selector.score == pytest.approx(float(found.mean()))
    twin = CheckpointSelector(0.5, RunningEpisodes(4, 0.5, CPU))
    twin.load_state_dict(selector.state_dict())
    for one in (selector, twin):
        one.observe(open_rollout())
        both = torch.cat((found, torch.tensor([5.5, 5.5, 5.5, 1.5, 4.5])))
        assert one.score == pytest.approx(float(both.mean()))
    selector.begin_anew()
    selector.observe(open_rollout())
    thrice = torch.cat((both, found))
    assert selector.score == pytest.approx(float(thrice.mean()))


def test_reports_of_what_is_bad_alone_choose_no_checkpoint() -> None:
    # All episodes that are known ended on a ghost: the best by them would be the first there is.
    selector = CheckpointSelector(0.9, one_sided=True)
    selector.observe(ends(2, 2 * FEWEST))
    assert math.isnan(selector.score)
    assert selector.consider(100, truth=0.5) == ["best_by_truth"]


@pytest.mark.parametrize("one_sided", [False, True])
def test_a_trainer_tells_the_selector_what_reports_are(tmp_path: Path, one_sided: bool) -> None:
    more = ["--agent", "naive", "--env.oversight", "1.0"]
    more += ["--env.one-sided"] if one_sided else []
    train_tiny(tmp_path / "run", 4096, *more)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert ("best_by_labels" in result) != one_sided
