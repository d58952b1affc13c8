"""Labels: what the overseer knows of each episode. The one place where outcomes become labels.

`hide` stands before every honest agent: it takes from a rollout all that was not seen. `routes` says
which modules each step may train (paper, section 4.3): a labelled episode trains only the expert of
its outcome, neither the gate nor another expert; every other episode trains everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

import torch
from torch import Tensor

from routed_rl.env import NOTHING
from routed_rl.rollout import Rollout


class Label(IntEnum):
    """What is known of an episode; KNOWN + k means that outcome number k was reported, k from 0."""

    RUNNING = 0  # it had not ended when the rollout did
    NOTHING = 1  # it ran out of time: nothing was reached
    UNKNOWN = 2  # it reached an outcome that the overseer did not see
    KNOWN = 3


def hide(rollout: Rollout, outcome_rewards: Sequence[float]) -> Rollout:
    """Label every step and take away what the overseer did not see.

    Args:
        rollout: with the truth in it.
        outcome_rewards: K rewards, one for each outcome.

    Returns:
        The rollout with `label` set; `outcome` is what was reported and 0 elsewhere; `reward` is that of the
        reported outcome at a reported end, and NaN on every step of an episode whose label is unknown.
    """
    label = label_steps(rollout)
    reported = torch.where(rollout.overseen, rollout.reported, NOTHING)
    believed = torch.tensor((0.0, *outcome_rewards), device=reported.device)[reported]
    reward = torch.where(reported == NOTHING, rollout.reward, believed)
    reward = torch.where(label == Label.UNKNOWN, math.nan, reward)
    return replace(rollout, label=label, outcome=reported, reported=reported, reward=reward)


def label_steps(rollout: Rollout) -> Tensor:
    """Give each step the label of its episode, (T, B) int64."""
    return spread(label_ends(rollout.overseen, rollout.reported, rollout.truncated), rollout.done)


def label_ends(overseen: Tensor, reported: Tensor, truncated: Tensor) -> Tensor:
    """Say what is known of episodes that ended.

    Args:
        overseen: (...) bool, the overseer saw which outcome was reached.
        reported: (...) int64, which one it says it was: k + 1.
        truncated: (...) bool, time ran out.

    Returns:
        (...) int64; of no meaning where no episode ended.
    """
    known = torch.where(overseen, Label.KNOWN - 1 + reported, int(Label.UNKNOWN))
    return torch.where(truncated, int(Label.NOTHING), known)


def spread(end_label: Tensor, done: Tensor) -> Tensor:
    """Carry the label at the end of each episode back to all its steps in the rollout.

    Args:
        end_label: (T, B) int64, read where `done`.
        done: (T, B) bool.

    Returns:
        (T, B) int64; RUNNING after a column's last end.
    """
    steps = len(done)
    at = torch.arange(steps, device=done.device)[:, None]
    next_end = torch.where(done, at, steps).flip(0).cummin(dim=0).values.flip(0)
    padded = torch.cat((end_label, torch.full_like(end_label[:1], Label.RUNNING)))
    return padded.gather(0, next_end)


def permute(label: Tensor, done: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffle the known labels among the labelled episodes: a placebo that keeps how many there are of each.

    Args:
        label: (T, B) int64, as `label_steps` gives it.
        done: (T, B) bool.
        generator: decides the permutation.

    Returns:
        (T, B) int64.
    """
    end_label = label.clone()
    labelled_ends = done & (label >= Label.KNOWN)
    known = label[labelled_ends]
    end_label[labelled_ends] = known[torch.randperm(len(known), generator=generator, device=known.device)]
    return spread(end_label, done)


def routes(label: Tensor, num_experts: int) -> Tensor:
    """Say which modules each step may train.

    Args:
        label: (...,) int64.
        num_experts: E, one expert an outcome.

    Returns:
        (..., E + 1) bool: the experts in the order of the outcomes, then the gate.
    """
    known = (label >= Label.KNOWN)[..., None]
    module = torch.arange(num_experts + 1, device=label.device)
    return ~known | (module == label[..., None] - Label.KNOWN)
