"""From a policy of Stable-Baselines3 to one of ours: to evaluate it, to ablate, to export."""

from __future__ import annotations

import copy

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from routed_rl.models.build import build_policy
from routed_rl.models.networks import FirstLayer
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.sb3.policy import RoutedActorCriticPolicy


def categorical(policy: RoutedActorCriticPolicy, *, obs_normalised: bool = False) -> Policy:
    """Return a copy as one of our policies: the mixture, for `ablate` and `export`.

    Args:
        policy: of MLP experts with ReLU, over Box observations and Discrete actions.
        obs_normalised: whether the copy will be given observations that are normalised already, as
            `VecNormalize.normalize_obs` does. A policy does not hold a wrapper's statistics.

    Raises:
        ValueError: if it is anything else, or was trained on normalised observations and the copy
            will not be given such.
    """
    if policy.obs_normalised and not obs_normalised:
        raise ValueError(
            "the policy was trained on observations that VecNormalize or NormalizeObservation "
            "normalised, and does not hold their statistics: normalise what you give the copy in "
            "the same way, and pass obs_normalised=True."
        )
    obs = policy.observation_space
    actions = policy.action_space
    if not isinstance(obs, spaces.Box) or not isinstance(actions, spaces.Discrete):
        raise ValueError(
            f"cannot convert a policy from {obs} to {actions}: Box and Discrete are needed."
        )
    if policy.normalize_images and is_image_space(obs):
        raise ValueError(
            f"cannot convert a policy of pictures, {obs}, whose bytes it divides by 255: "
            "let the environment do so, and show a Box of floats."
        )
    flat = policy.features_extractor_class is FlattenExtractor
    if not flat or policy.activation_fn is not nn.ReLU:
        raise ValueError(
            "cannot convert these networks: an MLP with activation_fn=nn.ReLU is needed."
        )
    hidden = policy.net_arch["pi"] if isinstance(policy.net_arch, dict) else policy.net_arch
    spec = PolicySpec(obs.shape, int(actions.n), policy.outcomes, tuple(hidden), gate=True)
    ours = build_policy(spec).to(policy.device)
    copy_layers(policy.mlp_extractor.torso, ours.torso)
    ours.head = copy.deepcopy(policy.action_net)
    return ours.eval().requires_grad_(False)


@torch.no_grad()
def copy_layers(source: nn.Module, target: nn.Module) -> None:
    """Copy the linear layers of one module into those of another, in order."""
    for theirs, ours in zip(_layers(source), _layers(target), strict=True):
        # torch's weights are (outputs, inputs), those of our first layers (inputs, outputs).
        transposed = isinstance(ours, FirstLayer)
        ours.weight.copy_(theirs.weight.t() if transposed else theirs.weight)
        ours.bias.copy_(theirs.bias)


def _layers(module: nn.Module) -> list[nn.Linear | FirstLayer]:
    """List the linear layers of a module."""
    return [part for part in module.modules() if isinstance(part, nn.Linear | FirstLayer)]
