"""Networks conditioned on expert weights: the value of a state depends on who acts in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.models.experts import Mixed, MixtureOfExperts
from routed_rl.models.networks import FirstLayer
from routed_rl.models.sparse import Sparse


class ConditionedNetwork(nn.Module):
    """A network that gets the expert weights beside the observation, as a critic does."""

    def __init__(self, network: nn.Sequential, num_experts: int) -> None:
        """Add the weights of `num_experts` experts to the first linear layer of a network."""
        super().__init__()
        before = nn.Sequential()
        layers = network
        last = network[-1]
        if isinstance(last, nn.Sequential):  # the linear layers behind convolutions
            before = network[:-1]
            layers = last
        # W x + V w: a linear layer over observation and weights, in two parts, since the first is
        # sparse.
        first = layers[0]
        assert isinstance(first, FirstLayer)
        self.before = before
        self.first = first
        self.rest = layers[1:]
        self.by_weights = nn.Linear(num_experts + 1, len(first.bias), bias=False)

    def forward(self, obs: Tensor | Sparse, expert_weights: Tensor) -> Tensor:
        """Map observations (N, ...) and weights (N, E) to what the network gives.

        A row of NaN says that the gate decides; a number of its own tells the network so.
        """
        gated = expert_weights[:, :1].isnan().to(expert_weights.dtype)
        told = torch.cat((expert_weights.nan_to_num(0.0), gated), dim=1)  # (N, E + 1)
        return self.rest(self.first(self.before(obs)) + self.by_weights(told))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load files of before version 0.2, in which the weights' layer was called by_steer."""
        former = prefix + "by_steer.weight"
        if former in state_dict:
            state_dict[prefix + "by_weights.weight"] = state_dict.pop(former)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class ConditionedTorso(MixtureOfExperts):
    """One conditioned network in the experts' place: nothing in it can be routed or cut out."""

    def __init__(self, network: ConditionedNetwork, weights: Sequence[float]) -> None:
        """Condition a network on `weights`, one for each expert it stands for, unless steered."""
        super().__init__({"all": network}, weights=weights)

    def forward(
        self,
        obs: Tensor | Sparse,
        grad_mask: Tensor | None = None,
        expert_weights: Tensor | None = None,
    ) -> Mixed:
        """Compute features (N, F) for the weights (N, E) that a mixture would be steered by."""
        assert grad_mask is None, "one network cannot be routed"
        weights = self.weights[None] if expert_weights is None else expert_weights
        return Mixed(self.experts["all"](obs, weights), None)
