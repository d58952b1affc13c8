"""A policy: what is seen, a mixture of experts, and a head that turns features into actions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.models.distributions import (
    Categorical,
    Distribution,
    Gaussian,
    MultiCategorical,
    softmax,
)
from routed_rl.models.experts import MixtureOfExperts
from routed_rl.models.normalisation import Normaliser
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.sparse import Sparse, compact


class Logits(NamedTuple):
    """What a policy computes from N observations."""

    actions: Tensor  # (N, P) the distribution's parameters: of numbered actions the logits (N, A)
    gate: Tensor | None  # (N, E)


class Policy(nn.Module):
    """What acts: preprocessing of the observation, experts, and a head."""

    def __init__(
        self, spec: PolicySpec, preprocess: nn.Module, torso: MixtureOfExperts, head: nn.Module
    ) -> None:
        """Join the parts; `preprocess` changes what both the experts and the gate get to see."""
        super().__init__()
        self.spec = spec
        self.preprocess = preprocess
        self.torso = torso
        self.head = head
        self.distribution = _distribution(spec)

    def forward(
        self,
        obs: Tensor,
        grad_mask: Tensor | None = None,
        expert_weights: Tensor | None = None,
    ) -> Logits:
        """Compute the parameters of the actions' distribution for observations (N, *obs_shape).

        `grad_mask` and `expert_weights` are those of `MixtureOfExperts.forward`.
        """
        return self.forward_encoded(self.preprocess(obs), grad_mask, expert_weights)

    def forward_encoded(
        self,
        encoded: Tensor | Sparse,
        grad_mask: Tensor | None = None,
        expert_weights: Tensor | None = None,
    ) -> Logits:
        """Compute them from what `encode` gives. The head is never routed."""
        mixed = self.torso(encoded, grad_mask, expert_weights)  # features (N, F), logits (N, E)
        return Logits(self.head(mixed.features), mixed.gate_logits)

    def encode(self, obs: Tensor) -> Tensor | Sparse:
        """Return what is seen of observations (N, *obs_shape), as it is fastest to compute with."""
        return self.to_sparse(self.preprocess(obs))

    def to_sparse(self, preprocessed: Tensor) -> Tensor | Sparse:
        """Compact what `preprocess` gave, if that is faster; convolutions want it as it is."""
        # Of what was normalised hardly a number is 0: it need not be counted.
        dense = self.spec.image or self.spec.normalize_obs
        return preprocessed if dense else compact(preprocessed)

    def update_statistics(self, obs: Tensor) -> None:
        """Let observations (N, *obs_shape) change what they are normalised by, if they are."""
        if isinstance(self.preprocess, Normaliser):
            self.preprocess.update(obs)

    @torch.no_grad()
    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool = False) -> Tensor:
        """Return sampled actions for observations (N, *obs_shape), or if `greedy` the likeliest."""
        parameters = self(obs).actions  # (N, P)
        if greedy:
            return self.distribution.mode(parameters)
        action, _ = self.distribution.sample(parameters, generator)
        return action

    @torch.no_grad()
    def probabilities(self, obs: Tensor) -> Tensor:
        """Return the probabilities (N, A) of numbered actions, a chunk at a time."""
        parts = obs.split(self.spec.chunk)
        logits = (self.forward_encoded(self.encode(part)).actions for part in parts)
        return torch.cat([softmax(part) for part in logits])


def _distribution(spec: PolicySpec) -> Distribution:
    """Return what the head's outputs are the parameters of."""
    if spec.continuous:
        return Gaussian()
    return MultiCategorical(spec.action_sizes) if spec.action_sizes else Categorical()
