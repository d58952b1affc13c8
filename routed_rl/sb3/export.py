"""From a policy of Stable-Baselines3 to one of ours: to evaluate it exactly, to ablate experts, to export it."""

from __future__ import annotations

import copy

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from routed_rl.networks import FirstLayer
from routed_rl.policy import Blueprint, Policy

from .policy import RoutedActorCriticPolicy


def categorical(policy: RoutedActorCriticPolicy) -> Policy:
    """Return a copy as one of our policies: the mixture, for `steering.ablate` and `steering.export`.

    Args:
        policy: of MLP experts with ReLU, over Box observations and Discrete actions.

    Raises:
        ValueError: if it is anything else.
    """
    obs, actions, torso = policy.observation_space, policy.action_space, policy.mlp_extractor.torso
    if not isinstance(obs, spaces.Box) or not isinstance(actions, spaces.Discrete):
        raise ValueError(f"cannot convert a policy from {obs} to {actions}: Box and Discrete are needed.")
    if policy.features_extractor_class is not FlattenExtractor or policy.activation_fn is not nn.ReLU:
        raise ValueError("cannot convert these networks: an MLP with activation_fn=nn.ReLU is needed.")
    hidden = policy.net_arch["pi"] if isinstance(policy.net_arch, dict) else policy.net_arch
    blueprint = Blueprint(obs.shape, int(actions.n), policy.outcomes, tuple(hidden), gate=True)
    ours = blueprint.build().to(policy.device)
    copy_layers(torso, ours.torso)
    ours.head = copy.deepcopy(policy.action_net)
    return ours.eval().requires_grad_(False)


@torch.no_grad()
def copy_layers(source: nn.Module, target: nn.Module) -> None:
    """Copy the linear layers of one module into those of another, in order; our first layers are transposed."""
    from_, to = ([m for m in x.modules() if isinstance(m, nn.Linear | FirstLayer)] for x in (source, target))
    for theirs, ours in zip(from_, to, strict=True):
        ours.weight.copy_(theirs.weight.t() if isinstance(ours, FirstLayer) else theirs.weight)
        ours.bias.copy_(theirs.bias)
