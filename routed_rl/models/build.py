"""Builds policies and critics from a `PolicySpec`, with weights from torch's global generator."""

from __future__ import annotations

from torch import nn

from routed_rl.models.conditioned import ConditionedNetwork, ConditionedTorso
from routed_rl.models.distributions import GaussianHead
from routed_rl.models.experts import Gate, MixtureOfExperts
from routed_rl.models.networks import DropChannel, linear, network, weights_of
from routed_rl.models.normalisation import Normaliser
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec


def build_policy(spec: PolicySpec) -> Policy:
    """Build a policy. Weights are drawn in this order: experts, gate, base, head.

    Raises:
        ValueError: if it would be one conditioned network on a base.
    """
    if spec.conditioned and spec.base:
        raise ValueError("one conditioned network cannot stand on a base: leave one of them out.")
    torso = _conditioned_torso(spec) if spec.conditioned else _mixture(spec)
    # One head for all experts, so that an ablated policy needs nothing of those that are gone.
    outputs = sum(spec.action_sizes) or spec.num_actions
    head: nn.Module = linear(spec.hidden[-1], outputs)
    if spec.continuous:
        head = GaussianHead(head, spec.num_actions)
    return Policy(spec, _preprocess(spec), torso, head)


def build_critic(spec: PolicySpec) -> nn.Module:
    """Build a value network over what the policy sees: (N, *visible_shape) -> (N, 1).

    Where the policy is steered, it takes the expert weights (N, E) too.
    """
    critic = _network(spec, 1)
    return ConditionedNetwork(critic, len(spec.experts)) if spec.steered else critic


def least_weights(spec: PolicySpec) -> int:
    """Return how many weights the experts and the head have; gate, base and biases come on top."""
    networks = 1 if spec.conditioned else len(spec.experts)
    one = weights_of(spec.visible_shape, spec.hidden, image=spec.image)
    return networks * one + spec.hidden[-1] * (sum(spec.action_sizes) or spec.num_actions)


def _preprocess(spec: PolicySpec) -> nn.Module:
    """Build what leaves the dropped channel out, and normalises the rest."""
    visible: nn.Module = nn.Identity()
    if spec.dropped_channel is not None:
        visible = DropChannel(spec.obs_shape[0], spec.dropped_channel)
    if not spec.normalize_obs:
        return visible
    untouched = spec.oversight_channel if spec.dropped_channel is None else None
    return Normaliser(visible, spec.visible_shape, image=spec.image, untouched=untouched)


def _mixture(spec: PolicySpec) -> MixtureOfExperts:
    """Build the experts, the gate and the base."""
    count = len(spec.experts)
    experts = {name: _expert(spec) for name in spec.experts}
    gate = None
    if spec.gate:
        gate = Gate(_network(spec, Gate.logits_of(count)), count)
    if not spec.base:
        return MixtureOfExperts(experts, gate, spec.weights)
    return MixtureOfExperts(experts, gate, spec.weights or (1.0,) * count, _network(spec))


def _expert(spec: PolicySpec) -> nn.Module:
    """Build an expert; on a base it is an adapter, whose last layer starts at 0."""
    if not spec.base:
        return _network(spec)
    adapter = _network(spec, spec.hidden[-1])
    *_, weight, bias = adapter.parameters()
    nn.init.zeros_(weight)
    nn.init.zeros_(bias)
    return adapter


def _conditioned_torso(spec: PolicySpec) -> ConditionedTorso:
    """Build the one network in the place of the experts."""
    count = len(spec.experts)
    inner = _network(spec)
    even = (1 / count,) * count
    return ConditionedTorso(ConditionedNetwork(inner, count), spec.weights or even)


def _network(spec: PolicySpec, outputs: int | None = None) -> nn.Sequential:
    """Build a network over what the policy sees."""
    return network(
        spec.visible_shape, spec.hidden, outputs, image=spec.image, activation=spec.activation
    )
