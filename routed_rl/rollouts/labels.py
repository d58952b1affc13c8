"""Labels: what the overseer knows of each segment. The one place where outcomes become labels.

A segment is the steps that a report is about. It ends with the episode, or with an outcome that was
reported; what nobody saw in the middle of an episode cuts nothing, for a cut would tell of it.
Where outcomes end episodes, a segment is an episode.

`hide` stands before every honest agent: it takes from a rollout all that was not seen. `routes`
says which modules each step may train (paper, section 4.3): a labelled segment trains only the
expert of its outcome, neither the gate nor another expert; every other segment trains everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cache

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Experience, Rollout, VisibleRollout
from routed_rl.worlds.outcomes import NOTHING, Label, expert_of, names_outcome, outcome_of
from routed_rl.worlds.spec import EnvSpec

__all__ = [
    "Label",
    "credit_episodes",
    "hide",
    "infer_labels",
    "known_segments",
    "label_segments",
    "label_steps",
    "routes",
    "shuffle_labels",
]


def hide(rollout: Rollout, spec: EnvSpec) -> VisibleRollout:
    """Label every step and take away what the overseer did not see.

    Args:
        rollout: with the truth in it.
        spec: of its world.

    Returns:
        A rollout in which `reported` is 0 where nothing was reported, and `true_reward` is what the
        overseer believes it was where it looked, NaN elsewhere. Where outcomes end episodes,
        everybody knows of a step after which the episode goes on that nothing happened in it: there
        it is what was paid, and NaN at ends that nobody saw.
    """
    reported = torch.where(rollout.overseen, rollout.reported, NOTHING)
    # What everybody sees to have come to nothing is known as if the overseer had looked.
    evident = ~rollout.terminated & spec.outcomes_end
    label = label_steps(reported, rollout.overseen | evident, rollout.done)
    # What the report says happened: if the report is wrong, so is what the step seems worth.
    values = _worth(tuple(spec.outcome_rewards), reported.device)
    mistaken = rollout.true_reward - values[rollout.outcome] + values[reported]
    believed = torch.where(reported == rollout.outcome, rollout.true_reward, mistaken)
    # NaN, since a zero would be a claim: whoever uses it by mistake learns NaN, and is told.
    unseen = torch.where(evident, rollout.reward, math.nan)
    true_reward = torch.where(rollout.overseen, believed, unseen)
    shared = {field.name: getattr(rollout, field.name) for field in fields(Experience)}
    return VisibleRollout(
        **shared,
        true_reward=true_reward,
        overseen=rollout.overseen,
        reported=reported,
        label=label,
    )


@cache
def _worth(outcome_rewards: tuple[float, ...], device: torch.device) -> Tensor:
    """Return what each report is worth, (K + 1,). For a copy to a GPU the host would wait."""
    return torch.tensor((0.0, *outcome_rewards), device=device)


def label_steps(reported: Tensor, known: Tensor, done: Tensor) -> Tensor:
    """Give each step the label of its segment, as far as it lies in the rollout.

    Args:
        reported: (T, B) int64, the outcome that is reported to have happened in a step, 0 if none.
        known: (T, B) bool, it is known of the step what happened in it, if only that nothing did.
        done: (T, B) bool.

    Returns:
        (T, B) int64.
    """
    ends = done | names_outcome(reported)
    unseen = (~known).cumsum(dim=0)  # (T, B) steps so far of which it is not known
    # What there were at the latest end before each step: the rest lies in the step's own segment.
    before = torch.cat((torch.zeros_like(unseen[:1]), (unseen * ends)[:-1])).cummax(dim=0).values
    quiet = torch.where(unseen > before, int(Label.UNKNOWN), NOTHING)
    return label_segments(torch.where(names_outcome(reported), reported, quiet), ends)


def label_segments(end_label: Tensor, ends: Tensor) -> Tensor:
    """Carry the label at the end of each segment back to all its steps in the rollout.

    Args:
        end_label: (T, B) int64, read where a segment ends.
        ends: (T, B) bool.

    Returns:
        (T, B) int64; RUNNING after a column's last end.
    """
    running = torch.full_like(end_label[:1], Label.RUNNING)
    return torch.cat((end_label, running)).gather(0, _next_end(ends))


def infer_labels(
    rollout: VisibleRollout, probability: Tensor, confidence: float, *, outcomes_end: bool
) -> Tensor:
    """Complete labels by outcomes that were inferred with confidence.

    A sure guess ends a segment, as a report does.

    Args:
        rollout: T steps of B environments.
        probability: (T, B, K) that each outcome happened.
        confidence: the least probability at which an outcome is taken for sure.
        outcomes_end: whether outcomes end episodes; then nothing is inferred of other steps.

    Returns:
        Labels (T, B) int64.
    """
    highest, outcome = probability.max(dim=2)
    sure = highest >= confidence
    if outcomes_end:
        sure &= rollout.terminated
    end_label = torch.where(sure, outcome_of(outcome), rollout.label)
    return label_segments(end_label, rollout.segment_end | sure)


def known_segments(rollout: VisibleRollout) -> Tensor:
    """Say of each step whether the true reward of its whole segment is known, (T, B) bool.

    Of a segment that the rollout cut, what lies in the rollout counts.
    """
    unknown = rollout.true_reward.isnan()
    steps = len(unknown)
    end = _next_end(rollout.segment_end)  # (T, B), equal on the steps of a segment
    # (T + 1, B): how many unknown steps the segment has that ends at each time.
    count = torch.zeros(steps + 1, *unknown.shape[1:], device=unknown.device)
    count.scatter_add_(0, end, unknown.float())
    return count.gather(0, end) == 0


def credit_episodes(rollout: VisibleRollout, outcome_rewards: Sequence[float]) -> Tensor:
    """Spread what was reported over whole episodes; of several reports the worst counts.

    Args:
        rollout: T steps of B environments.
        outcome_rewards: K, what each outcome is worth.

    Returns:
        Labels (T, B) int64; a segment's own in episodes without any report.
    """
    label = rollout.label
    steps = len(label)
    end = _next_end(rollout.done)  # (T, B), equal on the steps of an episode
    worst_last = sorted(range(len(outcome_rewards)), key=lambda k: -outcome_rewards[k])
    for k in worst_last:
        count = torch.zeros(steps + 1, *label.shape[1:], device=label.device)
        count.scatter_add_(0, end, (rollout.reported == k + 1).float())
        label = torch.where(count.gather(0, end) > 0, k + 1, label)
    return label


def shuffle_labels(
    label: Tensor, ends: Tensor, generator: torch.Generator, *, everywhere: bool = False
) -> Tensor:
    """Shuffle the known labels among the labelled segments: a placebo that keeps their numbers.

    Args:
        label: (T, B) int64, as `label_steps` gives it.
        ends: (T, B) bool, where segments end.
        generator: decides the permutation.
        everywhere: shuffle among all segments. Where all labels are one, nothing else shuffles.

    Returns:
        (T, B) int64.
    """
    end_label = label.clone()
    labelled_ends = ends & (names_outcome(label) | everywhere)
    known = label[labelled_ends]
    order = torch.randperm(len(known), generator=generator, device=known.device)
    end_label[labelled_ends] = known[order]
    return label_segments(end_label, ends)


def routes(label: Tensor, num_experts: int) -> Tensor:
    """Say which modules each step may train.

    Args:
        label: (...,) int64.
        num_experts: E, one expert an outcome.

    Returns:
        (..., E + 1) bool: the experts in the order of the outcomes, then the gate.
    """
    module = torch.arange(num_experts + 1, device=label.device)
    own = module == expert_of(label)[..., None]  # (..., E + 1); never the gate, whose number is E
    return ~names_outcome(label)[..., None] | own


def _next_end(ends: Tensor) -> Tensor:
    """Return for each step the time of the next end, from it on, (T, B); T where none follows."""
    steps = len(ends)
    time = torch.arange(steps, device=ends.device)[:, None]
    return torch.where(ends, time, steps).flip(0).cummin(dim=0).values.flip(0)
