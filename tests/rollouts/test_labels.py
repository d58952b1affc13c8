from __future__ import annotations

from dataclasses import fields

import torch
from helpers import BY_HAND, by_hand, random_rollout, world

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.outcomes import Label, names_outcome

DIAMOND = 1
GHOST = 2


def test_each_step_gets_the_label_of_its_episode() -> None:
    rollout = by_hand(
        outcome=[[0, 0], [1, 0], [0, 2], [2, 0]],
        overseen=[[0, 0], [1, 0], [0, 0], [1, 0]],
        truncated=[[0, 1], [0, 0], [0, 0], [0, 0]],
    )
    assert labels.hide(rollout, BY_HAND).label.T.tolist() == [
        [DIAMOND, DIAMOND, GHOST, GHOST],
        [Label.NOTHING, Label.UNKNOWN, Label.UNKNOWN, Label.RUNNING],
    ]


def test_hide_takes_outcome_and_reward_of_what_was_not_seen() -> None:
    rollout = by_hand(
        outcome=[[0, 0, 0], [1, 2, 0]],
        overseen=[[0, 0, 0], [1, 0, 0]],
        truncated=[[0, 0, 0], [0, 0, 0]],
    )
    visible = labels.hide(rollout, BY_HAND)
    assert visible.reported.tolist() == [[0, 0, 0], [1, 0, 0]]
    assert visible.true_reward[:, 0].tolist() == [0, 1]
    assert visible.true_reward[0, 1] == 0, "that it went on everybody sees"
    assert visible.true_reward[1, 1].isnan()
    assert visible.true_reward[:, 2].tolist() == [0, 0]
    assert visible.reward.tolist() == [[0, 0, 0], [1, 1, 0]], "what is paid everybody sees"
    running = [Label.RUNNING] * 2
    assert visible.label.T.tolist() == [[DIAMOND] * 2, [Label.UNKNOWN] * 2, running]
    assert torch.equal(visible.segment_end, rollout.done)
    hidden = {field.name for field in fields(Rollout)} - {field.name for field in fields(visible)}
    assert hidden == {"outcome"}


def test_the_reward_is_that_of_what_was_reported_not_of_the_truth() -> None:
    rollout = by_hand(outcome=[[GHOST]], overseen=[[1]], truncated=[[0]])
    rollout.reported[:] = DIAMOND
    visible = labels.hide(rollout, BY_HAND)
    assert visible.true_reward.tolist() == [[1]]
    assert visible.reported.tolist() == [[DIAMOND]]
    assert visible.label.tolist() == [[DIAMOND]]


def test_no_bit_of_what_is_hidden_depends_on_the_truth() -> None:
    rollout = random_rollout(world(64, oversight=0.3), 32)
    unseen = rollout.terminated & ~rollout.overseen
    assert unseen.any()
    before = labels.hide(rollout, BY_HAND)
    rollout.outcome[unseen] = 3 - rollout.outcome[unseen]
    rollout.reported[unseen] = 77
    rollout.true_reward[before.label == Label.UNKNOWN] = 123.0
    after = labels.hide(rollout, BY_HAND)
    for name, x in vars(before).items():
        if x is not None:
            assert torch.equal(x.nan_to_num(-9), getattr(after, name).nan_to_num(-9)), name


def test_routes_are_the_papers() -> None:
    label = torch.tensor([Label.RUNNING, Label.NOTHING, Label.UNKNOWN, DIAMOND, GHOST])
    yes = True
    no = False
    assert labels.routes(label, 2).tolist() == [
        [yes, yes, yes],  # the rollout ended first
        [yes, yes, yes],  # nothing was reached
        [yes, yes, yes],  # nobody knows what was reached
        [yes, no, no],  # a diamond that was seen
        [no, yes, no],  # a ghost that was seen
    ]
    assert labels.routes(label[-1:], 3).tolist() == [[no, yes, no, no]]


def test_shuffling_keeps_how_many_episodes_have_each_label_and_touches_no_other() -> None:
    rollout = random_rollout(world(64, oversight=0.5), 32)
    label = labels.hide(rollout, BY_HAND).label
    before = label.clone()
    shuffled = labels.shuffle_labels(label, rollout.done, torch.Generator().manual_seed(0))
    again = labels.shuffle_labels(label, rollout.done, torch.Generator().manual_seed(0))
    assert torch.equal(again, shuffled), "the generator alone decides"
    assert torch.equal(label, before)
    known = names_outcome(label)
    assert torch.equal(shuffled[~known], label[~known])
    ends = rollout.done & known
    assert shuffled[ends].bincount().tolist() == label[ends].bincount().tolist()
    assert not torch.equal(shuffled, label)
    assert torch.equal(labels.label_segments(shuffled, rollout.done), shuffled)


def test_what_is_inferred_with_confidence_completes_the_labels() -> None:
    # Two episodes that nobody saw: a ghost after two steps, a diamond after four.
    rollout = by_hand(
        outcome=[[0], [2], [0], [1]],
        overseen=[[0], [0], [0], [0]],
        truncated=[[0], [0], [0], [0]],
    )
    visible = labels.hide(rollout, BY_HAND)
    probability = torch.zeros(4, 1, 2)
    probability[1, 0] = torch.tensor([0.1, 0.9])
    probability[2, 0] = torch.tensor([1.0, 0.0])  # in the middle of an episode
    probability[3, 0] = torch.tensor([0.8, 0.2])
    unknown = int(Label.UNKNOWN)
    for confidence, expected in ((0.9, [2, 2, unknown, unknown]), (0.95, [unknown] * 4)):
        found = labels.infer_labels(visible, probability, confidence, outcomes_end=True)
        assert found[:, 0].tolist() == expected
    found = labels.infer_labels(visible, probability, 0.8, outcomes_end=True)
    assert found[:, 0].tolist() == [2, 2, 1, 1]
    # Where outcomes end nothing, a sure guess ends a segment wherever it is.
    found = labels.infer_labels(visible, probability, 0.9, outcomes_end=False)
    assert found[:, 0].tolist() == [2, 2, 1, unknown]
