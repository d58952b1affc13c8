"""Profiles: a policy for each set of allowed outcomes, from one set of experts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.report import Report
from routed_rl.models.policy import Policy
from routed_rl.models.steering import ablate, profile_weights, profiles
from routed_rl.utils.errors import UserError
from routed_rl.utils.progress import track


@dataclass(frozen=True)
class ProfileReport:
    """What a profile's policy does in a world where its outcomes are the good ones."""

    report: Report
    allowed: float
    """How often outcomes that the profile allows happen in an episode."""
    forbidden: float
    """How often others do."""

    def to_json(self) -> dict[str, Any]:
        """Return what json can hold."""
        shares = {"allowed": self.allowed, "forbidden": self.forbidden}
        return self.report.to_json() | shares


def tabulate(
    policies: Mapping[str, Policy],
    deployed: str,
    outcomes: Sequence[str],
    evaluator: Callable[[Sequence[str]], Evaluator],
) -> dict[str, ProfileReport]:
    """Evaluate each profile's policy.

    Args:
        policies: of an agent. Experts give a policy for each profile, a single network one for all.
        deployed: the policy to deploy.
        outcomes: of the world.
        evaluator: makes what evaluates, for the good outcomes.

    Returns:
        The outcomes of a profile, joined by +, -> its report.

    Raises:
        UserError: if there are experts, and not one for each outcome.
    """
    source = max(policies.values(), key=lambda policy: len(policy.spec.experts))
    experts = source.spec.experts
    if len(experts) > 1 and experts != tuple(outcomes):
        raise UserError(
            f"profiles need an expert for each of {', '.join(outcomes)}, and this run has "
            f"{' and '.join(experts)}: train one without --env.one-sided."
        )
    table = {}
    for chosen in track(profiles(outcomes), "evaluating", "profiles"):
        policy = policies[deployed]
        if len(experts) > 1:
            policy = ablate(source, profile_weights(chosen))
        report = evaluator(chosen).returns({"": policy})[""]
        counts = report.outcomes_per_episode or {}
        allowed = sum(counts[name] for name in chosen)
        forbidden = sum(counts.values()) - allowed
        table["+".join(chosen)] = ProfileReport(report, allowed, forbidden)
    return table
