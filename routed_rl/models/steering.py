"""What to do with a mixture of experts that is trained: ablate, and mix experts for a deployment.

`ablate` makes the policy to deploy. It has the experts that are kept and the head, and neither the
others' parameters nor the gate's. Paper, section 4.3: the gate fixed at the diamond expert.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.utils.errors import UserError, nearest


def ablate(policy: Policy, weights: Mapping[str, float]) -> Policy:
    """Return a policy of its own in which the experts have fixed weights and the rest is gone.

    Args:
        policy: of a mixture of experts.
        weights: expert -> weight; one that is left out, or has weight 0, is removed.

    Returns:
        A copy that contains the parameters of the experts kept and of the head only.

    Raises:
        UserError: if an expert is unknown, or none is kept.
    """
    kept = _kept(policy.spec.experts, weights)
    if policy.spec.conditioned:
        # There is nothing to cut out: the one network is conditioned as it was in training.
        kept = {name: kept.get(name, 0.0) for name in policy.spec.experts}
    spec = replace(policy.spec, experts=tuple(kept), gate=False, weights=tuple(kept.values()))
    ablated = build_policy(spec).to(next(policy.parameters()).device)
    source = policy.state_dict() | {"torso.weights": ablated.torso.weights}
    ablated.load_state_dict({name: source[name] for name in ablated.state_dict()})
    return ablated.eval().requires_grad_(False)


def profiles(outcomes: Sequence[str]) -> list[tuple[str, ...]]:
    """List every set of outcomes that a deployment may allow: 2 to the power of K, less 1."""
    sizes = range(1, len(outcomes) + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(outcomes, size)]


def profile_weights(chosen: Sequence[str]) -> dict[str, float]:
    """Mix the experts of a profile evenly; the others are gone."""
    return {name: 1 / len(chosen) for name in chosen}


def dial_weights(spec: PolicySpec, target: str, weight: float) -> dict[str, float]:
    """Say how the experts are mixed where the unwanted ones have a weight.

    In training the weights of all sum to 1, so they do here. On a base each expert has weight 1
    instead, unless there is a gate: then this is the weight of each of the unwanted ones.

    Args:
        spec: of the mixture.
        target: the wanted expert.
        weight: of all others together, who share it evenly. At 0 they are ablated, at 1 they are
            alone; at -1 it is twice the wanted one minus the others.

    Returns:
        Expert -> weight.
    """
    others = [name for name in spec.experts if name != target]
    if spec.base and not spec.gate:
        return {target: 1.0} | dict.fromkeys(others, weight)
    return {target: 1 - weight} | {name: weight / len(others) for name in others}


def _kept(known: tuple[str, ...], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the experts that are kept, in their order, and their weights."""
    for name in weights:
        if name not in known:
            raise UserError(f"there is no expert {name!r}. {nearest(name, known)}")
    kept = {name: float(weights[name]) for name in known if weights.get(name, 0.0) != 0.0}
    if not kept:
        raise UserError(
            f"no expert is left: give at least one of {', '.join(known)} a weight other than 0."
        )
    return kept
