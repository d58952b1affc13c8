"""Labels: what the overseer knows of each episode. The one place where outcomes become labels.

`hide` stands before every honest agent: it takes from a rollout all that was not seen. `routes`
says which modules each step may train (paper, section 4.3): a labelled episode trains only the
expert of its outcome, neither the gate nor another expert; every other episode trains everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Experience, Rollout, VisibleRollout
from routed_rl.worlds.outcomes import NOTHING, Label, expert_of, names_outcome

__all__ = [
    "Label",
    "hide",
    "label_ends",
    "label_segments",
    "label_steps",
    "routes",
    "shuffle_labels",
]


def hide(rollout: Rollout, outcome_rewards: Sequence[float]) -> VisibleRollout:
    """Label every step and take away what the overseer did not see.

    Args:
        rollout: with the truth in it.
        outcome_rewards: K rewards, one for each outcome.

    Returns:
        A rollout in which `reported` is 0 where nothing was reported, and `reward` is that of the
        reported outcome at a reported end, NaN on every step of an episode whose label is unknown.
    """
    label = label_steps(rollout)
    reported = torch.where(rollout.overseen, rollout.reported, NOTHING)
    # What the report says the end was worth: if the report is wrong, so is this.
    believed = torch.tensor((0.0, *outcome_rewards), device=reported.device)[reported]
    reward = torch.where(reported == NOTHING, rollout.reward, believed)
    # NaN, since a zero would be a claim: whoever uses it by mistake learns NaN, and is told.
    reward = torch.where(label == Label.UNKNOWN, math.nan, reward)
    shared = {field.name: getattr(rollout, field.name) for field in fields(Experience)}
    return VisibleRollout(
        **shared, reward=reward, overseen=rollout.overseen, reported=reported, label=label
    )


def label_steps(rollout: Rollout) -> Tensor:
    """Give each step the label of its episode, (T, B) int64."""
    ends = label_ends(rollout.overseen, rollout.reported, rollout.truncated)
    return label_segments(ends, rollout.done)


def label_ends(overseen: Tensor, reported: Tensor, truncated: Tensor) -> Tensor:
    """Say what is known of episodes that ended.

    Args:
        overseen: (...) bool, the overseer saw which outcome was reached.
        reported: (...) int64, which one it says it was: k + 1.
        truncated: (...) bool, time ran out.

    Returns:
        (...) int64; of no meaning where no episode ended.
    """
    known = torch.where(overseen, reported, int(Label.UNKNOWN))
    return torch.where(truncated, int(Label.NOTHING), known)


def label_segments(end_label: Tensor, done: Tensor) -> Tensor:
    """Carry the label at the end of each episode back to all its steps in the rollout.

    Args:
        end_label: (T, B) int64, read where `done`.
        done: (T, B) bool.

    Returns:
        (T, B) int64; RUNNING after a column's last end.
    """
    steps = len(done)
    time = torch.arange(steps, device=done.device)[:, None]
    # For each step the time of the next end; `steps`, the RUNNING row, where none follows.
    next_end = torch.where(done, time, steps).flip(0).cummin(dim=0).values.flip(0)
    running = torch.full_like(end_label[:1], Label.RUNNING)
    return torch.cat((end_label, running)).gather(0, next_end)


def shuffle_labels(label: Tensor, done: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle the known labels among the labelled episodes: a placebo that keeps their numbers.

    Args:
        label: (T, B) int64, as `label_steps` gives it.
        done: (T, B) bool.
        generator: decides the permutation.

    Returns:
        (T, B) int64.
    """
    end_label = label.clone()
    labelled_ends = done & names_outcome(label)
    known = label[labelled_ends]
    order = torch.randperm(len(known), generator=generator, device=known.device)
    end_label[labelled_ends] = known[order]
    return label_segments(end_label, done)


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
