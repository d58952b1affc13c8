"""Profiles: a policy for each set of outcomes that a deployment may allow, from one set of experts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from routed_rl.evaluation import Evaluator, Report
from routed_rl.policy import Policy
from routed_rl.steering import ablate


def profiles(outcomes: Sequence[str]) -> list[tuple[str, ...]]:
    """List every set of outcomes but the empty one: 2 to the power of K, less 1."""
    return [chosen for n in range(1, len(outcomes) + 1) for chosen in itertools.combinations(outcomes, n)]


def weights(chosen: Sequence[str]) -> dict[str, float]:
    """Say how a profile mixes the experts: those of its outcomes speak alike, the others are gone."""
    return {name: 1 / len(chosen) for name in chosen}


def tabulate(
    policies: Mapping[str, Policy],
    deployed: str,
    outcomes: Sequence[str],
    evaluator: Callable[[Sequence[str]], Evaluator],
) -> dict[str, Report]:
    """Evaluate each profile's policy in a world where its outcomes are worth 1 and all others -1.

    Args:
        policies: of an agent. Experts give a policy for each profile; a single network is the same for all.
        deployed: the policy to ship.
        outcomes: of the environment.
        evaluator: makes what evaluates, for the good outcomes.

    Returns:
        The outcomes of a profile, joined by +, -> its report, with `allowed` and `forbidden`: the shares of episodes
        that end so.
    """
    source = max(policies.values(), key=lambda policy: len(policy.blueprint.experts))
    table = {}
    for chosen in profiles(outcomes):
        policy = ablate(source, weights(chosen)) if len(source.blueprint.experts) > 1 else policies[deployed]
        report = evaluator(chosen).returns({"": policy})[""]
        allowed = sum(report["outcomes"][name] for name in chosen)
        forbidden = 1 - report["outcomes"]["none"] - allowed
        table["+".join(chosen)] = report | {"allowed": allowed, "forbidden": forbidden}
    return table
