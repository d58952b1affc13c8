"""The networks of a routed policy, in the places where Stable-Baselines3 looks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from torch import Tensor, nn

from routed_rl.models.experts import Gate, MixtureOfExperts


class Unchanged(BaseFeaturesExtractor):
    """Hands observations on, since shared features would be learnt unrouted.

    Each expert extracts its own.
    """

    def __init__(self, observation_space: spaces.Space) -> None:
        """Hand on observations of this space."""
        super().__init__(observation_space, features_dim=spaces.flatdim(observation_space))

    def forward(self, observations: Tensor) -> Tensor:
        """Return the observations."""
        return observations


class RoutedExtractor(nn.Module):
    """What Stable-Baselines3 calls `mlp_extractor`: all but the last layers.

    These are the mixture of experts, and the critic but for its last layer.
    """

    def __init__(
        self, torso: MixtureOfExperts, critic: nn.Module, latent_dim_pi: int, latent_dim_vf: int
    ) -> None:
        """Join a torso of `latent_dim_pi` features and a critic of `latent_dim_vf`."""
        super().__init__()
        self.torso = torso
        self.critic = critic
        self.latent_dim_pi = latent_dim_pi
        self.latent_dim_vf = latent_dim_vf

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features for the head and for the critic."""
        return self.forward_actor(obs), self.forward_critic(obs)

    def forward_actor(self, obs: Tensor) -> Tensor:
        """Return the mixture's features (N, F)."""
        return self.torso(obs).features

    def forward_critic(self, obs: Tensor) -> Tensor:
        """Return the critic's features (N, F)."""
        return self.critic(obs)


class Network(NamedTuple):
    """A network and how many numbers it gives."""

    module: nn.Module
    width: int


@dataclass(frozen=True)
class NetworkBuilder:
    """Builds networks, each with a features extractor to itself."""

    observation_space: spaces.Space
    extractor_class: type[BaseFeaturesExtractor]
    extractor_kwargs: dict[str, Any]
    activation_fn: type[nn.Module]

    def network(self, hidden: list[int], outputs: int = 0) -> Network:
        """Build a network; without `outputs` it ends in its features."""
        extractor = self.extractor_class(self.observation_space, **self.extractor_kwargs)
        layers = create_mlp(extractor.features_dim, outputs, hidden, self.activation_fn)
        widths = [extractor.features_dim, *hidden]
        return Network(nn.Sequential(extractor, *layers), outputs or widths[-1])

    def routed(
        self, outcomes: Sequence[str], hidden: list[int], critic_hidden: list[int]
    ) -> RoutedExtractor:
        """Build a mixture of experts and a critic.

        Args:
            outcomes: names of the experts.
            hidden: widths of the hidden layers of each expert and the gate.
            critic_hidden: likewise of the critic.
        """
        # Weights are drawn in this order: experts, gate, critic.
        experts = {name: self.network(hidden) for name in outcomes}
        gate = self.network(hidden, Gate.logits_of(len(outcomes)))
        critic = self.network(critic_hidden)
        torso = MixtureOfExperts(
            {name: expert.module for name, expert in experts.items()},
            Gate(gate.module, len(outcomes)),
        )
        width = experts[outcomes[0]].width  # all experts have the same
        return RoutedExtractor(torso, critic.module, width, critic.width)
