"""A mixture of experts whose gradients can be routed, sample by sample.

Paper, section 4.3: features = gate * E_diamond + (1 - gate) * E_ghost. Here any number of experts;
two share one gate logit and a sigmoid as in the paper, more have a softmax. The paper's 1x1
convolution before the gate is left out: without a non-linearity behind it, the next layer computes
it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.models.distributions import softmax
from routed_rl.models.sparse import Sparse
from routed_rl.routing.gradients import route


class Mixed(NamedTuple):
    """What a mixture computes from N observations."""

    features: Tensor  # (N, F) the weighted sum of the experts' features
    gate_logits: Tensor | None  # (N, E) before the softmax; None without a gate


class Gate(nn.Module):
    """Decides how much each expert contributes. Two experts share one logit: the second's is 0."""

    def __init__(self, network: nn.Module, num_experts: int) -> None:
        """Wrap a network that gives `logits_of(num_experts)` numbers."""
        super().__init__()
        self.network = network
        self.num_experts = num_experts

    @staticmethod
    def logits_of(num_experts: int) -> int:
        """Return how many outputs a gate's network needs."""
        return 1 if num_experts == 2 else num_experts

    def forward(self, obs: Tensor | Sparse) -> Tensor:
        """Return logits (N, E)."""
        logits = self.network(obs)
        if self.num_experts != 2:
            return logits
        return torch.cat((logits, torch.zeros_like(logits)), dim=1)


class MixtureOfExperts(nn.Module):
    """Experts, and either a gate or fixed weights to mix them by."""

    weights: Tensor  # (E,) used without a gate

    def __init__(
        self,
        experts: Mapping[str, nn.Module],
        gate: Gate | None = None,
        weights: Sequence[float] | None = None,
        base: nn.Module | None = None,
    ) -> None:
        """Mix `experts`, in the order of the outcomes, by a gate or weights, 1/E unless given.

        With a `base`, which nothing trains, they are adapters: they add to its features.
        """
        super().__init__()
        self.base = None if base is None else base.requires_grad_(False)
        self.experts = nn.ModuleDict(experts)
        self.gate = gate
        even = torch.full((len(experts),), 1 / len(experts))
        fixed = even if weights is None else torch.tensor(weights)
        self.register_buffer("weights", fixed.float(), persistent=gate is None)

    @torch.no_grad()
    def tie_experts(self) -> None:
        """Make all experts equal and the gate undecided: then labels alone can tell them apart."""
        first, *others = self.experts.values()
        for expert in others:
            expert.load_state_dict(first.state_dict())
        if self.gate is not None:
            *_, weight, bias = self.gate.parameters()  # of its last layer
            weight.zero_()
            bias.zero_()

    def forward(
        self,
        obs: Tensor | Sparse,
        grad_mask: Tensor | None = None,
        expert_weights: Tensor | None = None,
    ) -> Mixed:
        """Mix the experts' features.

        Args:
            obs: (N, *obs_shape), dense or sparse.
            grad_mask: (N, E + 1) bool, the modules (experts, then gate) that each sample trains;
                None trains all.
            expert_weights: (N, E) to use instead of the gate's, a row of NaN where the gate
                decides.

        Returns:
            Features (N, F), and the gate's own logits (N, E): of these a loss may be taken on every
            sample.
        """
        parts = [expert(obs) for expert in self.experts.values()]  # E of (N, F)
        gate_logits = None if self.gate is None else self.gate(obs)
        if gate_logits is None:
            weights = self.weights.expand(parts[0].shape[0], -1)
        else:
            weights = softmax(gate_logits)
        if expert_weights is not None:
            weights = torch.where(expert_weights.isnan(), weights, expert_weights)
        if grad_mask is None:
            features = mix(weights, parts)
        else:
            features = _RoutedMix.apply(weights, grad_mask, *parts)
        if self.base is not None:
            features = features + self.base(obs)
        return Mixed(features, gate_logits)


def mix(weights: Tensor, parts: Sequence[Tensor], grad_mask: Tensor | None = None) -> Tensor:
    """Sum E parts (N, F) by weights (N, E), routed by grad_mask (N, E + 1): experts, then gate."""
    if grad_mask is not None:
        parts = [route(part, grad_mask[:, e]) for e, part in enumerate(parts)]
        weights = route(weights, grad_mask[:, -1])
    mixture = weights[:, :1] * parts[0]
    for e, part in enumerate(parts[1:], start=1):
        mixture = torch.addcmul(mixture, weights[:, e, None], part)
    return mixture


class _RoutedMix(torch.autograd.Function):
    """`mix` with one pass over each part where autograd takes six: ten times faster.

    With the mixture sum_e w_e x_e and its gradient g, the gradient to x_e is m_e w_e g, and to w_e
    it is m_gate <g, x_e>, where m is the mask.
    """

    generate_vmap_rule = True  # `torch.func.vmap` runs many mixtures as one

    @staticmethod
    def forward(weights: Tensor, grad_mask: Tensor, *parts: Tensor) -> Tensor:
        return mix(weights, parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, grad_mask, *parts = ctx.saved_tensors
        (gradient,) = gradients
        # 0 where a sample may not train an expert: its gradient is exactly 0.
        share = weights * grad_mask[:, :-1]
        to_parts = (share[:, e, None] * gradient for e in range(len(parts)))
        to_weights = None
        if ctx.needs_input_grad[0]:
            products = [torch.linalg.vecdot(gradient, part) for part in parts]
            to_weights = torch.stack(products, dim=1) * grad_mask[:, -1:]
        return to_weights, None, *to_parts
