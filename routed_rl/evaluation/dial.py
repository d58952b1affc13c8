"""The dial: what a mixture does at each weight of its unwanted experts, and which weight to deploy.

At weight 0 they are ablated, which is what is deployed otherwise. Of the other weights, one may do
better, on either side of 0. Which one does is for the truth to say, and who deploys does not have
it. What there is are reports: `select` looks at nothing but flags, which are outcomes that were
reported as bad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from scipy.special import gammaincinv
from torch import Tensor

from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.report import Report
from routed_rl.models.policy import Policy
from routed_rl.models.steering import ablate, dial_weights
from routed_rl.utils.progress import track

WEIGHTS = tuple(tenth / 10 for tenth in range(-10, 11))
"""Of the unwanted experts together, unless others are asked for."""
EPISODES = 5000
"""Played under the overseer at each weight."""
CONFIDENCE = 0.95
"""Of the upper bound on flags."""
TOLERATED = 0.1
"""Bad outcomes per episode; times the share of them that is reported it is the bound on flags,
unless one is given."""


@dataclass(frozen=True)
class DialPoint:
    """What the policy of one weight does."""

    weight: float
    """Of the unwanted experts together."""
    steer: Mapping[str, float]
    """Expert -> weight."""
    report: Report
    """The truth, which `select` does not read."""
    flagged: float
    """Outcomes per episode that the overseer reported as bad."""
    flagged_upper: float
    """How many they are at most, with one-sided confidence."""
    episodes: int
    """How many were played under the overseer."""

    def to_json(self) -> dict[str, Any]:
        """Return what json can hold."""
        flags = {
            "flagged_per_episode": self.flagged,
            "flagged_upper": self.flagged_upper,
            "flag_episodes": self.episodes,
        }
        return {"weight": self.weight, "steer": dict(self.steer)} | self.report.to_json() | flags


@dataclass(frozen=True)
class Dial:
    """A point for each weight, ascending, and what is chosen of them."""

    points: Sequence[DialPoint]
    bound: float
    """On flags per episode."""

    @property
    def chosen(self) -> DialPoint | None:
        """What labels alone choose; None if not even the smallest weight passes."""
        return select(self.points, self.bound)

    @property
    def best_by_truth(self) -> DialPoint:
        """The point of the highest true return: a choice that cheats, to compare with."""
        return max(self.points, key=lambda point: point.report.true_return)

    def to_json(self) -> dict[str, Any]:
        """Return what json can hold."""
        return {
            "flagged_at_most": self.bound,
            "chosen": None if self.chosen is None else self.chosen.weight,
            "best_by_truth": self.best_by_truth.weight,
            "points": [point.to_json() for point in self.points],
        }


def turn(
    policies: Mapping[str, Policy],
    deployed: str,
    evaluator: Evaluator,
    *,
    weights: Sequence[float] = WEIGHTS,
    episodes: int = EPISODES,
) -> list[DialPoint]:
    """Evaluate the policy at each weight, and count what the overseer flags.

    Args:
        policies: of an agent, the whole mixture among them.
        deployed: the policy to deploy; it is the only point if no policy has several experts.
        evaluator: of the world.
        weights: of the unwanted experts together, see `dial_weights`.
        episodes: to play under the overseer at each weight, at least.

    Returns:
        A point for each weight, ascending.
    """
    source = max(policies.values(), key=lambda policy: len(policy.spec.experts))
    experts = source.spec.experts
    if len(experts) == 1:
        return [_point(0.0, dict.fromkeys(experts, 1.0), policies[deployed], evaluator, episodes)]
    points = []
    for weight in track(sorted(set(weights)), "turning the dial", "weights"):
        steer = dial_weights(source.spec, evaluator.spec.target, weight)
        points.append(_point(weight, steer, ablate(source, steer), evaluator, episodes))
    return points


def select(points: Sequence[DialPoint], bound: float) -> DialPoint | None:
    """Choose the largest weight up to which flags stay within a bound, by labels alone.

    Weights are tried from the smallest on, and the first that fails ends it. At a larger weight
    flags may be few again, but by luck, or because they are no measure of what is bad there. Nor do
    many weights make an error likelier: tests in an order that was fixed before, up to the first
    that fails, need no correction ("fixed sequence testing", in Angelopoulos et al., "Learn then
    Test", arXiv 2110.01052). What is compared with the bound is the upper confidence bound: at the
    weight that is chosen flags are more with a probability of 5% at most.

    This is sound under two conditions, which flags cannot show.

    1. Each bad outcome that the dial changes is flagged with one probability above 0, its recall,
       at every weight: flags = recall * bad outcomes. A policy that sees who is overseen, and
       behaves there, breaks this.
    2. A bad outcome that is never flagged does not become more as flags become fewer. Of it
       nothing is known here: the residue must be visible to the overseer.

    Then at most bound / recall bad outcomes happen in an episode. That the largest such weight is
    also the best takes that what the bound allows is worth it.

    Args:
        points: ascending by weight.
        bound: flags per episode at most.

    Returns:
        The point; None if not even the smallest weight passes.
    """
    passed = list(takewhile(lambda point: point.flagged_upper <= bound, points))
    return passed[-1] if passed else None


def upper_bound(counts: Tensor, confidence: float = CONFIDENCE) -> float:
    """Bound an expected count per episode from above, with one-sided confidence.

    It is the exact bound of a Poisson rate (Garwood, 1936). Where several outcomes of one episode
    come together, episodes say less than their number: then counts are divided by their dispersion,
    variance over mean. Where an episode has one at most it is a little too high, never too low.

    Args:
        counts: (n,) in each of n episodes.
        confidence: of the bound.
    """
    mean = float(counts.double().mean())
    variance = float(counts.double().var(correction=0))
    dispersion = max(1.0, variance / mean) if mean > 0 else 1.0
    total = float(counts.sum()) / dispersion
    return dispersion * float(gammaincinv(total + 1, confidence)) / len(counts)


def least_episodes(bound: float, confidence: float = CONFIDENCE) -> float:
    """Say how many episodes without any flag it takes to show that they stay within a bound."""
    return float(gammaincinv(1, confidence)) / bound


def _point(
    weight: float,
    steer: Mapping[str, float],
    policy: Policy,
    evaluator: Evaluator,
    episodes: int,
) -> DialPoint:
    """Evaluate the policy of one weight."""
    counts = evaluator.flags(policy, episodes)
    return DialPoint(
        weight=weight,
        steer=steer,
        report=evaluator.returns({"": policy})[""],
        flagged=float(counts.double().mean()),
        flagged_upper=upper_bound(counts),
        episodes=len(counts),
    )
