"""A mixture of experts as a policy of Stable-Baselines3, trained with routed gradients by its own PPO or A2C.

`evaluate_actions` is where both get their gradient. It takes observations with labels (`RoutedObs`), routes what they
may train, and lets the gate's loss ride on the log-probabilities. The head (`action_net`) is never routed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from routed_rl import labels, losses
from routed_rl.config import nearest
from routed_rl.env import check_names
from routed_rl.experts import Gate, MixtureOfExperts
from routed_rl.labels import Label
from routed_rl.routing import attach_loss

from .buffer import RoutedObs
from .optimizer import RoutedAdam


class Unchanged(BaseFeaturesExtractor):
    """Hands observations on: each expert extracts its own features, since shared ones would learn unrouted."""

    def __init__(self, observation_space: spaces.Space) -> None:
        """Hand on observations of this space."""
        super().__init__(observation_space, features_dim=spaces.flatdim(observation_space))

    def forward(self, observations: Tensor) -> Tensor:
        """Return the observations."""
        return observations


class RoutedExtractor(nn.Module):
    """What Stable-Baselines3 calls `mlp_extractor`: the mixture of experts, and the critic but for its last layer."""

    def __init__(self, torso: MixtureOfExperts, critic: nn.Module, latent_dim_pi: int, latent_dim_vf: int) -> None:
        """Join a torso that gives `latent_dim_pi` features and a critic that gives `latent_dim_vf`."""
        super().__init__()
        self.torso, self.critic = torso, critic
        self.latent_dim_pi, self.latent_dim_vf = latent_dim_pi, latent_dim_vf

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features for the head and for the critic."""
        return self.forward_actor(obs), self.forward_critic(obs)

    def forward_actor(self, obs: Tensor) -> Tensor:
        """Return the mixture's features (N, F)."""
        return self.torso(obs).features

    def forward_critic(self, obs: Tensor) -> Tensor:
        """Return the critic's features (N, F)."""
        return self.critic(obs)


class _Network(NamedTuple):
    """A network and how many numbers it gives."""

    module: nn.Module
    width: int


class RoutedActorCriticPolicy(ActorCriticPolicy):
    """One expert an outcome, and a gate; acts as the mixture while it learns, and as steered in `predict`."""

    mlp_extractor: RoutedExtractor
    steering: Tensor  # (E,) weights of the experts, NaN where the gate decides

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *,
        outcomes: Sequence[str],
        gate_loss: float = 0.1,
        equal_start: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = RoutedAdam,
        **settings: Any,
    ) -> None:
        """Build the networks.

        Args:
            observation_space: of single observations; any but Dict.
            action_space: any that PPO takes.
            lr_schedule: step size by remaining progress.
            outcomes: names of the ends that an episode can reach, two or more; each gets an expert.
            gate_loss: coefficient of the gate's loss on labelled episodes.
            equal_start: start with equal experts and an undecided gate, so that labels alone can tell them apart.
            optimizer_class: gets a parameter group for each expert, the gate, the critic and the head.
            settings: whatever else `ActorCriticPolicy` takes. Each expert, the gate and the critic have a features
                extractor of `features_extractor_class` (`NatureCNN` for images) to themselves.

        Raises:
            ValueError: if there are fewer than two outcomes, or a name is not allowed.
        """
        check_names(outcomes)
        if len(outcomes) < 2 or len(set(outcomes)) < len(outcomes):
            raise ValueError(f"outcomes are {tuple(outcomes)}: name two or more, each once.")
        # The networks, which depend on these, are built by the parent.
        self.outcomes, self.gate_loss, self.equal_start = tuple(outcomes), gate_loss, equal_start
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            share_features_extractor=True,
            optimizer_class=optimizer_class,
            **settings,
        )
        self.register_buffer("steering", torch.full((len(outcomes),), torch.nan))

    def steer(self, weights: Mapping[str, float] | None) -> None:
        """Let `predict`, and with it `EvalCallback`, act with these weights of the experts; learning is not touched.

        Args:
            weights: expert -> weight, 0 where it is left out; None to act as the mixture again.

        Raises:
            ValueError: if an expert is unknown, or all weights are 0.
        """
        for name in weights or {}:
            if name not in self.outcomes:
                raise ValueError(f"there is no expert {name!r}. {nearest(name, self.outcomes)}")
        if weights is not None and not any(weights.values()):
            raise ValueError(f"weights are {dict(weights)}: give at least one expert a weight other than 0.")
        chosen = [torch.nan if weights is None else weights.get(name, 0.0) for name in self.outcomes]
        self.steering.copy_(torch.tensor(chosen))

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the distribution of actions, as steered."""
        features: Any = self.extract_features(obs)
        steer = self.steering.expand(len(features), -1)
        return self._get_action_dist_from_latent(self.mlp_extractor.torso(features, steer=steer).features)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Evaluate actions of the mixture, routing their gradients.

        Args:
            obs: N observations as `RoutedObs`.
            actions: (N, ...) that were taken.

        Returns:
            Values (N, 1), log-probabilities (N,), on which the gate's loss rides, and entropies (N,) if known.

        Raises:
            ValueError: if the observations have no labels.
        """
        if not isinstance(obs, RoutedObs):
            raise ValueError("observations have no labels: pass rollout_buffer_class=RoutedRolloutBuffer to PPO.")
        features: Any = self.extract_features(obs.obs)
        mixed = self.mlp_extractor.torso(features, labels.routes(obs.label, len(self.outcomes)))
        distribution = self._get_action_dist_from_latent(mixed.features)
        expert = obs.label - Label.KNOWN
        gate_loss = losses.gate_loss(mixed.gate_logits, expert, expert >= 0)
        log_prob = attach_loss(distribution.log_prob(actions), self.gate_loss * gate_loss)
        return self.value_net(self.mlp_extractor.forward_critic(features)), log_prob, distribution.entropy()

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Share nothing."""
        return Unchanged(self.observation_space)

    def _build_mlp_extractor(self) -> None:
        arch = self.net_arch if isinstance(self.net_arch, dict) else {"pi": self.net_arch, "vf": self.net_arch}
        hidden, count = arch.get("pi", []), len(self.outcomes)
        experts = {name: self._network(hidden) for name in self.outcomes}
        gate = Gate(self._network(hidden, Gate.logits_of(count)).module, count)
        critic = self._network(arch.get("vf", []))
        torso = MixtureOfExperts({name: expert.module for name, expert in experts.items()}, gate)
        self.mlp_extractor = RoutedExtractor(torso, critic.module, experts[self.outcomes[0]].width, critic.width)

    def _network(self, hidden: list[int], outputs: int = 0) -> _Network:
        """Build a network with a features extractor of its own; without `outputs` it ends in its features."""
        extractor = self.features_extractor_class(self.observation_space, **self.features_extractor_kwargs)
        layers = create_mlp(extractor.features_dim, outputs, hidden, self.activation_fn)
        return _Network(nn.Sequential(extractor, *layers), outputs or [extractor.features_dim, *hidden][-1])

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        if self.equal_start:
            self.mlp_extractor.torso.equalise()
        self.optimizer = self.optimizer_class(self._groups(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _groups(self) -> list[dict[str, Any]]:
        """List the parameters of each expert, the gate, the critic, and of what is left: the head."""
        torso, critic = self.mlp_extractor.torso, nn.ModuleList([self.mlp_extractor.critic, self.value_net])
        assert torso.gate is not None
        groups = [list(module.parameters()) for module in (*torso.experts.values(), torso.gate, critic)]
        taken = {parameter for group in groups for parameter in group}
        groups.append([parameter for parameter in self.parameters() if parameter not in taken])
        return [{"params": group} for group in groups]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"outcomes": self.outcomes, "gate_loss": self.gate_loss, "equal_start": self.equal_start}
        return super()._get_constructor_parameters() | own
