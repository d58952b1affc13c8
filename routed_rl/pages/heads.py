"""What policies compute in every state, so small that a page can mix them anew.

The head is linear: with features sum_i w_i f_i of the experts, the logits are

    logits(w) = b + sum_i w_i (head(f_i) - b),    b = head(0), or head(base's features)

So one table for each expert is enough for every choice of weights, the gate's among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.models.conditioned import ConditionedTorso
from routed_rl.models.distributions import softmax
from routed_rl.models.policy import Policy

CHECKED = 64
"""So many states are looked at to see whether a policy is what its weights say."""
TOLERANCE = 1e-4
"""In an action's probability."""


class Heads(NamedTuple):
    """E tables of logits, over S states and A actions, and how policies mix them."""

    names: list[str]  # E, of the experts and then of policies that cannot be mixed from them
    experts: int  # how many of these are experts
    parts: Tensor  # (E, S, A) head(f_i) - b
    rest: Tensor  # (S, A) b; 0 for tables of policies
    gate: Tensor | None  # (S, E) the gate's weights
    weights: dict[str, dict[str, float] | None]  # policy -> its weights; None: the gate decides


@torch.no_grad()
def take_apart(policies: Mapping[str, Policy], obs: Tensor) -> Heads:
    """Compute the tables of an agent's policies.

    Args:
        policies: of one agent; those with fewer experts are copies of the one with most.
        obs: (S, *obs_shape), of every state.
    """
    source = max(policies.values(), key=lambda policy: len(policy.spec.experts))
    heads = _of_experts(source, obs)
    some = torch.linspace(0, len(obs) - 1, min(CHECKED, len(obs))).long().to(obs.device)
    for name, policy in policies.items():
        weights = _weights(policy)
        known = set(weights or ()) <= set(heads.names)
        if known and (weights is not None or (policy.spec.gate and heads.gate is not None)):
            found = softmax(logits(heads, weights)[some])
            if torch.allclose(found, policy.probabilities(obs[some]), atol=TOLERANCE):
                heads.weights[name] = weights
                continue
        heads = _with_table(heads, name, policy, obs)
    return heads


def logits(heads: Heads, weights: Mapping[str, float] | None) -> Tensor:
    """Mix the tables by weights, or by the gate if these are None: (S, A)."""
    if weights is None:
        assert heads.gate is not None
        return heads.rest + torch.einsum("se,esa->sa", heads.gate, heads.parts)
    row = torch.tensor([weights.get(name, 0.0) for name in heads.names], device=heads.rest.device)
    # A policy's own table stands alone, without the experts' bias.
    own = any(weights.get(name) for name in heads.names[heads.experts :])
    return (0 if own else heads.rest) + torch.einsum("e,esa->sa", row, heads.parts)


def _weights(policy: Policy) -> dict[str, float] | None:
    """Return the fixed weights of a policy's experts; None if a gate decides."""
    if policy.spec.gate:
        return None
    return dict(zip(policy.torso.experts, policy.torso.weights.tolist(), strict=False))


def _of_experts(source: Policy, obs: Tensor) -> Heads:
    """Compute the tables of a mixture's experts; none of one network's that is conditioned."""
    torso = source.torso
    if isinstance(torso, ConditionedTorso):
        nothing = torch.zeros(0, len(obs), source.spec.num_actions, device=obs.device)
        return Heads([], 0, nothing, torch.zeros_like(obs[:, :0]), None, {})
    parts, rests, gates = [], [], []
    for chunk in obs.split(source.spec.chunk):
        encoded = source.encode(chunk)
        features = torch.stack([expert(encoded) for expert in torso.experts.values()])
        base = torch.zeros_like(features[0]) if torso.base is None else torso.base(encoded)
        rests.append(source.head(base))
        parts.append(source.head(features + base) - rests[-1])
        if torso.gate is not None:
            gates.append(softmax(torso.gate(encoded)))
    names = list(torso.experts)
    gate = torch.cat(gates) if gates else None
    return Heads(names, len(names), torch.cat(parts, dim=1), torch.cat(rests), gate, {})


def _with_table(heads: Heads, name: str, policy: Policy, obs: Tensor) -> Heads:
    """Add the table of a policy, as it is."""
    table = policy.probabilities(obs).clamp(min=1e-12).log()[None]  # (1, S, A)
    rest = heads.rest if len(heads.names) else torch.zeros_like(table[0])
    gate = heads.gate
    if gate is not None:
        gate = torch.cat((gate, torch.zeros_like(gate[:, :1])), dim=1)
    own = f"policy {name}"  # no expert is called so: outcomes are single words
    return Heads(
        names=[*heads.names, own],
        experts=heads.experts,
        parts=torch.cat((heads.parts, table)) if len(heads.names) else table,
        rest=rest,
        gate=gate,
        weights=heads.weights | {name: {own: 1.0}},
    )
