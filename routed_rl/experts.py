"""A mixture of experts whose gradients can be routed, sample by sample.

Paper, section 4.3: features = gate * E_diamond + (1 - gate) * E_ghost. Here any number of experts; two
share one gate logit and a sigmoid as in the paper, more have a softmax. The paper's 1x1 convolution
before the gate is left out: without a non-linearity behind it, the next layer computes it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.networks import Told
from routed_rl.routing import route
from routed_rl.sparse import Sparse


class Mixed(NamedTuple):
    """What a mixture answers to N observations."""

    features: Tensor  # (N, F) the weighted sum of the experts' features
    gate_logits: Tensor | None  # (N, E) before the softmax; None without a gate


class Gate(nn.Module):
    """Decides how much each expert says. Two experts share one logit: the second's is 0."""

    def __init__(self, network: nn.Module, num_experts: int) -> None:
        """Wrap a network that gives `logits_of(num_experts)` numbers."""
        super().__init__()
        self.network, self.num_experts = network, num_experts

    @staticmethod
    def logits_of(num_experts: int) -> int:
        """How many outputs a gate's network needs."""
        return 1 if num_experts == 2 else num_experts

    def forward(self, obs: Tensor | Sparse) -> Tensor:
        """Return logits (N, E)."""
        logits = self.network(obs)
        return torch.cat((logits, torch.zeros_like(logits)), dim=1) if self.num_experts == 2 else logits


class MixtureOfExperts(nn.Module):
    """Experts, and either a gate or fixed weights to mix them by."""

    weights: Tensor  # (E,) used without a gate

    def __init__(
        self, experts: Mapping[str, nn.Module], gate: Gate | None = None, weights: Sequence[float] | None = None
    ) -> None:
        """Mix `experts` (in the order of their outcomes) by a gate, or by fixed weights, 1/E unless given."""
        super().__init__()
        self.experts = nn.ModuleDict(experts)
        self.gate = gate
        fixed = torch.tensor(weights) if weights is not None else torch.full((len(experts),), 1 / len(experts))
        self.register_buffer("weights", fixed.float(), persistent=gate is None)

    @torch.no_grad()
    def equalise(self) -> None:
        """Make all experts the same and the gate undecided, so that labels alone can tell the experts apart."""
        first, *others = self.experts.values()
        for expert in others:
            expert.load_state_dict(first.state_dict())
        if self.gate is not None:
            *_, weight, bias = self.gate.parameters()
            weight.zero_()
            bias.zero_()

    def forward(self, obs: Tensor | Sparse, keep: Tensor | None = None, steer: Tensor | None = None) -> Mixed:
        """Mix the experts' features.

        Args:
            obs: (N, *obs_shape), dense or sparse.
            keep: (N, E + 1) bool, the modules (experts, then gate) that each sample trains; None trains all.
            steer: (N, E) weights to use instead of the gate's, a row of NaN where the gate decides.

        Returns:
            Features (N, F), and the gate's own logits (N, E): of these a loss may be taken on every sample.
        """
        parts = [expert(obs) for expert in self.experts.values()]
        gate_logits = None if self.gate is None else self.gate(obs)
        weights = self.weights.expand(parts[0].shape[0], -1) if gate_logits is None else gate_logits.softmax(dim=1)
        if steer is not None:
            weights = torch.where(steer.isnan(), weights, steer)
        features = mix(weights, parts) if keep is None else _RoutedMix.apply(weights, keep, *parts)
        return Mixed(features, gate_logits)


class OneForAll(MixtureOfExperts):
    """One network in the place of the experts, told their weights: no part of it can be routed or cut out."""

    def __init__(self, network: Told, weights: Sequence[float]) -> None:
        """Tell a network `weights`, one for each expert in whose place it stands, unless it is steered."""
        super().__init__({"all": network}, weights=weights)

    def forward(self, obs: Tensor | Sparse, keep: Tensor | None = None, steer: Tensor | None = None) -> Mixed:
        """Compute features (N, F) for the weights (N, E) that a mixture would be steered by."""
        assert keep is None, "one network cannot be routed"
        return Mixed(self.experts["all"](obs, self.weights[None] if steer is None else steer), None)


def mix(weights: Tensor, parts: Sequence[Tensor], keep: Tensor | None = None) -> Tensor:
    """Sum the parts (E of (N, F)) with weights (N, E), routed by keep (N, E + 1): experts, then gate."""
    if keep is not None:
        parts = [route(part, keep[:, e]) for e, part in enumerate(parts)]
        weights = route(weights, keep[:, -1])
    mixture = weights[:, :1] * parts[0]
    for e, part in enumerate(parts[1:], start=1):
        mixture = torch.addcmul(mixture, weights[:, e, None], part)
    return mixture


class _RoutedMix(torch.autograd.Function):
    """`mix` with one pass over each part where autograd takes six: the same values and gradients, ten times faster."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, keep: Tensor, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(weights, keep, *parts)
        return mix(weights, parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, keep, *parts = ctx.saved_tensors
        (gradient,) = gradients
        share = weights * keep[:, :-1]  # 0 where a sample may not train an expert: its gradient is exactly 0
        to_parts = (share[:, e, None] * gradient for e in range(len(parts)))
        to_weights = None
        if ctx.needs_input_grad[0]:
            to_weights = torch.stack([torch.linalg.vecdot(gradient, part) for part in parts], dim=1) * keep[:, -1:]
        return to_weights, None, *to_parts
