"""Labels where outcomes end nothing: an episode has as many segments as were reported."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import OPEN, on_the_way, two_open_episodes
from torch import Tensor

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.outcomes import Label, names_outcome

DIAMOND = 1
GHOST = 2
NOTHING, UNKNOWN, RUNNING = Label.NOTHING, Label.UNKNOWN, Label.RUNNING
nan = torch.nan


def column(*numbers: int) -> Tensor:
    return torch.tensor(numbers)[:, None]


@pytest.mark.parametrize(
    ("reported", "known", "done", "label"),
    [
        # What was not seen before a report lies in its segment, and what comes later in the next.
        ([0, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1], [DIAMOND, DIAMOND, NOTHING, NOTHING]),
        ([0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1], [DIAMOND, DIAMOND, UNKNOWN, UNKNOWN]),
        # One step that nobody saw leaves a whole segment unknown, and no other.
        ([0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 1], [UNKNOWN, UNKNOWN, NOTHING, NOTHING]),
        ([0, 0, 0, 0], [1, 1, 1, 0], [0, 1, 0, 1], [NOTHING, NOTHING, UNKNOWN, UNKNOWN]),
        # Reports one after another, one of them in an episode's last step.
        ([2, 1, 0, 2], [1, 1, 0, 1], [0, 1, 0, 0], [GHOST, DIAMOND, GHOST, GHOST]),
        # What the rollout cuts is running, be it known or not.
        ([0, 2, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0], [GHOST, GHOST, RUNNING, RUNNING]),
    ],
)
def test_a_report_cuts_a_segment_and_what_is_unseen_cuts_nothing(
    reported: list[int], known: list[int], done: list[int], label: list[int]
) -> None:
    found = labels.label_steps(column(*reported), column(*known).bool(), column(*done).bool())
    assert found.flatten().tolist() == label


def test_hide_labels_segments_and_leaves_nothing_of_what_was_not_seen() -> None:
    visible = labels.hide(two_open_episodes(), OPEN)
    assert visible.label.T.tolist() == [
        [GHOST, GHOST, DIAMOND, NOTHING, RUNNING],
        [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, RUNNING],
    ]
    assert visible.reported.T.tolist() == [[0, GHOST, DIAMOND, 0, 0], [0] * 5]
    assert visible.segment_end.T.tolist() == [
        [False, True, True, True, False],
        [False, False, False, True, False],
    ]
    # Step t pays t + 1, and the ghost of step 1 costs 3.
    assert visible.reward.T.tolist() == [[1, 2, 3, 4, 5]] * 2
    assert visible.true_reward[:, 0].tolist() == [1, -1, 3, 4, 5]
    assert visible.true_reward[:, 1].isnan().all()


def test_a_step_that_nobody_saw_leaves_its_segment_unknown_though_the_episode_goes_on() -> None:
    # In a world whose outcomes end episodes it would be evident that nothing happened in it.
    rollout = on_the_way([[0], [0]], [[0], [1]], [[0], [1]])
    visible = labels.hide(rollout, OPEN)
    assert visible.label.flatten().tolist() == [UNKNOWN, UNKNOWN]
    assert visible.true_reward[1].tolist() == [2]
    assert visible.true_reward[0].isnan().all()


def drawn(steps: int = 40, envs: int = 32) -> Rollout:
    """Draw a rollout of which one step in two is overseen, episodes being overseen or not."""
    generator = torch.Generator().manual_seed(0)

    def uniform() -> Tensor:
        return torch.rand(steps, envs, generator=generator)

    outcome = torch.where(uniform() < 0.3, 1 + (uniform() < 0.5).long(), 0)
    columns = (outcome, uniform() < 0.5, uniform() < 0.1)
    return on_the_way(*(column.tolist() for column in columns))


def test_the_true_reward_is_missing_exactly_where_nobody_looked() -> None:
    rollout = drawn()
    visible = labels.hide(rollout, OPEN)
    assert torch.equal(visible.true_reward.isnan(), ~rollout.overseen)
    seen = rollout.overseen
    assert torch.equal(visible.true_reward[seen], rollout.true_reward[seen])
    assert torch.equal(visible.reported, rollout.outcome * seen)


def test_no_bit_of_what_is_hidden_depends_on_the_truth() -> None:
    rollout = drawn()
    before = labels.hide(rollout, OPEN)
    unseen = ~rollout.overseen
    rollout.outcome[unseen] = 2 - rollout.outcome[unseen]
    rollout.reported[unseen] = 77
    rollout.true_reward[unseen] = 123.0
    after = labels.hide(rollout, OPEN)
    for name, x in vars(before).items():
        if x is not None:
            assert torch.equal(x.nan_to_num(-9), getattr(after, name).nan_to_num(-9)), name


def test_the_true_reward_is_what_a_false_report_makes_of_it() -> None:
    rollout = on_the_way([[GHOST, GHOST, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 0]])
    rollout.reported[:] = torch.tensor([[DIAMOND, 0, GHOST, 0]])
    # What is paid is 1: a ghost taken for a diamond or overlooked costs nothing, one made up does.
    assert rollout.true_reward.tolist() == [[-2, -2, 1, 1]]
    assert labels.hide(rollout, OPEN).true_reward.tolist() == [[1, 1, -2, 1]]


def test_a_true_reward_of_the_worlds_own_is_passed_on_where_reports_are_true() -> None:
    rollout = on_the_way([[GHOST, 0]], [[1, 1]], [[0, 0]])
    rollout = replace(rollout, true_reward=torch.tensor([[0.1, 0.7]]))
    assert torch.equal(labels.hide(rollout, OPEN).true_reward, rollout.true_reward)


def test_a_segment_is_known_if_every_step_of_it_is() -> None:
    rollout = on_the_way(
        outcome=[[0, 0, 0], [2, 2, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
        overseen=[[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 0]],
        terminated=[[0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]],
    )
    # Ghosts of step 1 are reported; of a segment that is cut off what lies in the rollout counts.
    assert labels.known_segments(labels.hide(rollout, OPEN)).long().T.tolist() == [
        [1, 1, 0, 0, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
    ]


def test_over_a_whole_episode_the_worst_report_counts() -> None:
    visible = labels.hide(two_open_episodes(), OPEN)
    assert labels.credit_episodes(visible, OPEN.outcome_rewards).T.tolist() == [
        [GHOST, GHOST, GHOST, GHOST, RUNNING],
        [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, RUNNING],
    ]
    # Whichever comes first, and in an episode that goes on too; without a report all is as it was.
    rollout = on_the_way(
        outcome=[[1, 1, 0], [2, 0, 2], [0, 1, 0], [0, 0, 0]],
        overseen=[[1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 0, 1]],
        terminated=[[0, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 1]],
    )
    visible = labels.hide(rollout, OPEN)
    assert labels.credit_episodes(visible, OPEN.outcome_rewards).T.tolist() == [
        [GHOST] * 4,
        [DIAMOND] * 4,
        [UNKNOWN, UNKNOWN, NOTHING, NOTHING],
    ]
    assert labels.credit_episodes(visible, (0.0, 1.0))[:, 0].tolist() == [DIAMOND] * 4


def test_shuffling_keeps_how_many_segments_have_each_label_and_touches_no_other() -> None:
    visible = labels.hide(drawn(), OPEN)
    ends = visible.segment_end
    label = visible.label
    assert (ends & ~visible.done).sum() > 50, "some lie within an episode"
    shuffled = labels.shuffle_labels(label, ends, torch.Generator().manual_seed(0))
    known = names_outcome(label)
    assert torch.equal(shuffled[~known], label[~known])
    labelled = ends & known
    assert shuffled[labelled].bincount().tolist() == label[labelled].bincount().tolist()
    assert not torch.equal(shuffled, label)
    inside = ~ends[:-1]
    assert torch.equal(shuffled[1:][inside], shuffled[:-1][inside]), "one label a segment"
