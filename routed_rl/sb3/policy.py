"""A mixture of experts as a policy of Stable-Baselines3.

It is trained with routed gradients by Stable-Baselines3's own PPO or A2C. Both get their gradient
in `evaluate_actions`. That takes observations with labels (`RoutedObs`) and routes what they may
train. The gate's loss rides on the log-probabilities. The head (`action_net`) is never routed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from routed_rl.algorithms import losses
from routed_rl.rollouts import labels
from routed_rl.routing.gradients import attach_loss
from routed_rl.sb3.buffer import RoutedObs
from routed_rl.sb3.extractors import NetworkBuilder, RoutedExtractor, Unchanged
from routed_rl.sb3.optimizer import RoutedAdam
from routed_rl.utils.errors import nearest
from routed_rl.worlds.outcomes import expert_of
from routed_rl.worlds.spec import check_outcome_names


class RoutedActorCriticPolicy(ActorCriticPolicy):
    """One expert an outcome, and a gate.

    It acts as the mixture while it learns, and as steered in `predict`.
    """

    mlp_extractor: RoutedExtractor
    steering: Tensor  # (E,) weights of the experts, NaN where the gate decides
    obs_normalised: Tensor  # () whether it was trained on observations that a wrapper normalised

    # Many arguments, since Stable-Baselines3 decides how a policy is made: from three of them and
    # the keywords in `policy_kwargs`. A loaded one gets those of `_get_constructor_parameters`.
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
            equal_start: start with equal experts and an undecided gate: then labels alone can tell
                them apart.
            optimizer_class: gets a parameter group for each expert, the gate, the critic and the
                head.
            settings: whatever else `ActorCriticPolicy` takes. Each expert, the gate and the critic
                have a features extractor of `features_extractor_class` to themselves (`NatureCNN`
                for images).

        Raises:
            ValueError: if there are fewer than two outcomes, or a name is not allowed.
        """
        check_outcome_names(outcomes)
        if len(outcomes) < 2 or len(set(outcomes)) < len(outcomes):
            raise ValueError(f"outcomes are {tuple(outcomes)}: name two or more, each once.")
        # Before the parent's __init__, which calls `_build`: the networks depend on these.
        self.outcomes = tuple(outcomes)
        self.gate_loss = gate_loss
        self.equal_start = equal_start
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            share_features_extractor=True,
            optimizer_class=optimizer_class,
            **settings,
        )
        self.register_buffer("steering", torch.full((len(outcomes),), torch.nan))
        # A buffer, so that a zip holds it too. `RoutedCallback` sets it, which knows the wrappers.
        self.register_buffer("obs_normalised", torch.tensor(False))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load parameters; an older zip does not say whether observations were normalised."""
        whole: Any = copy.copy(state_dict)  # with the versions that torch attaches to it
        whole.setdefault("obs_normalised", torch.zeros_like(self.obs_normalised))
        return super().load_state_dict(whole, strict, assign)

    def steer(self, weights: Mapping[str, float] | None) -> None:
        """Let `predict`, and with it `EvalCallback`, act with these weights of the experts.

        Learning is not touched.

        Args:
            weights: expert -> weight, 0 where it is left out; None to act as the mixture again.

        Raises:
            ValueError: if an expert is unknown, or all weights are 0.
        """
        if weights is None:
            self.steering.fill_(torch.nan)
            return
        for name in weights:
            if name not in self.outcomes:
                raise ValueError(f"there is no expert {name!r}. {nearest(name, self.outcomes)}")
        if not any(weights.values()):
            raise ValueError(
                f"weights are {dict(weights)}: give at least one expert a weight other than 0."
            )
        chosen = [weights.get(name, 0.0) for name in self.outcomes]
        self.steering.copy_(torch.tensor(chosen))

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the distribution of actions, as steered."""
        features: Any = self.extract_features(obs)
        weights = self.steering.expand(len(features), -1)  # (N, E)
        mixed = self.mlp_extractor.torso(features, expert_weights=weights)
        return self._get_action_dist_from_latent(mixed.features)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Evaluate actions of the mixture, routing their gradients.

        Args:
            obs: N observations as `RoutedObs`.
            actions: (N, ...) that were taken.

        Returns:
            Values (N, 1), log-probabilities (N,) on which the gate's loss rides, and entropies (N,)
            if they are known.

        Raises:
            ValueError: if the observations have no labels.
        """
        if not isinstance(obs, RoutedObs):
            raise ValueError(
                "observations have no labels: pass rollout_buffer_class=RoutedRolloutBuffer to PPO."
            )
        features: Any = self.extract_features(obs.obs)
        grad_mask = labels.routes(obs.label, len(self.outcomes))  # (N, E + 1)
        mixed = self.mlp_extractor.torso(features, grad_mask)
        distribution = self._get_action_dist_from_latent(mixed.features)
        expert = expert_of(obs.label)  # (N,), below 0 where no outcome is known
        gate_loss = losses.gate_loss(mixed.gate_logits, expert, expert >= 0)
        # The training loop has no place for another loss, so it is attached to what is sure to be
        # used. Its coefficient is 1, whatever the loop makes of the log-probabilities.
        log_prob = attach_loss(distribution.log_prob(actions), self.gate_loss * gate_loss)
        # The critic is a network of its own and learns from every sample.
        values = self.value_net(self.mlp_extractor.forward_critic(features))
        return values, log_prob, distribution.entropy()

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Share nothing."""
        return Unchanged(self.observation_space)

    def _build_mlp_extractor(self) -> None:
        # "pi" and "vf" are Stable-Baselines3's words for the policy's and the critic's layers.
        arch = self.net_arch
        if not isinstance(arch, dict):
            arch = {"pi": arch, "vf": arch}
        builder = NetworkBuilder(
            self.observation_space,
            self.features_extractor_class,
            self.features_extractor_kwargs,
            self.activation_fn,
        )
        hidden = arch.get("pi", [])
        self.mlp_extractor = builder.routed(self.outcomes, hidden, arch.get("vf", []))

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        if self.equal_start:
            self.mlp_extractor.torso.tie_experts()
        # In the place of the parent's, which has all parameters in one group.
        make_optimizer: Any = self.optimizer_class  # torch's base class declares no `lr`
        self.optimizer = make_optimizer(self._groups(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _groups(self) -> list[dict[str, Any]]:
        """List the parameters of each expert, the gate, the critic, and the head: what is left."""
        torso = self.mlp_extractor.torso
        assert torso.gate is not None
        critic = nn.ModuleList([self.mlp_extractor.critic, self.value_net])
        modules = [*torso.experts.values(), torso.gate, critic]
        groups = [list(module.parameters()) for module in modules]
        taken = {parameter for group in groups for parameter in group}
        # Also `log_std` of continuous actions, which lies in no module.
        groups.append([parameter for parameter in self.parameters() if parameter not in taken])
        return [{"params": group} for group in groups]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {
            "outcomes": self.outcomes,
            "gate_loss": self.gate_loss,
            "equal_start": self.equal_start,
        }
        return super()._get_constructor_parameters() | own
