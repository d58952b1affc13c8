"""A policy: what is seen, a mixture of experts, and a head that turns features into actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.experts import Gate, MixtureOfExperts
from routed_rl.networks import DropPlane, SteeredCritic, linear, mlp
from routed_rl.sparse import Sparse, compact

CHUNK = 2048
"""So many samples at a time keep a processor's caches warm: about a third faster than all at once."""


class Logits(NamedTuple):
    """What a policy answers to N observations."""

    actions: Tensor  # (N, A)
    gate: Tensor | None  # (N, E)


@dataclass(frozen=True)
class Blueprint:
    """All that a policy is built from. A method with one network has one expert and no gate."""

    obs_shape: tuple[int, ...]
    """Shape of one observation."""
    num_actions: int
    """How many actions there are."""
    experts: tuple[str, ...]
    """Names of the experts, in the order of the outcomes."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers of each expert and the gate."""
    gate: bool = False
    """Whether a gate mixes the experts."""
    weights: tuple[float, ...] | None = None
    """Without a gate: the weight of each expert, 1/E unless given."""
    dropped_plane: int | None = None
    """A plane of the observation that the policy does not see."""
    steered: bool = False
    """Whether it also acts with expert weights other than the gate's: then the critic is told them."""

    def build(self) -> CategoricalPolicy:
        """Build the policy, with weights drawn from torch's global generator."""
        view, shape = self.view()
        count = len(self.experts)
        experts = {name: mlp(shape, self.hidden) for name in self.experts}
        gate = Gate(mlp(shape, self.hidden, Gate.logits_of(count)), count) if self.gate else None
        torso = MixtureOfExperts(experts, gate, self.weights)
        return CategoricalPolicy(self, view, torso, linear(self.hidden[-1], self.num_actions))

    def build_critic(self) -> nn.Module:
        """Build a value network over what the policy sees, and the expert weights if steered: (N, *seen) -> (N, 1)."""
        network = mlp(self.view()[1], self.hidden, 1)
        return SteeredCritic(network, len(self.experts)) if self.steered else network

    def view(self) -> tuple[nn.Module, tuple[int, ...]]:
        """Return what leaves the dropped plane out, and the shape that is left."""
        if self.dropped_plane is None:
            return nn.Identity(), self.obs_shape
        planes, *rest = self.obs_shape
        return DropPlane(planes, self.dropped_plane), (planes - 1, *rest)


class CategoricalPolicy(nn.Module):
    """A policy over A actions."""

    def __init__(self, blueprint: Blueprint, view: nn.Module, torso: MixtureOfExperts, head: nn.Module) -> None:
        """Join the parts; `view` changes what both the experts and the gate get to see."""
        super().__init__()
        self.blueprint, self.view, self.torso, self.head = blueprint, view, torso, head

    def forward(self, obs: Tensor, keep: Tensor | None = None, steer: Tensor | None = None) -> Logits:
        """Compute action logits; for `keep` and `steer` see `MixtureOfExperts.forward`."""
        return self.decide(self.view(obs), keep, steer)

    def see(self, obs: Tensor) -> Tensor | Sparse:
        """Return what is seen of observations (N, *obs_shape), in the form that is fastest to compute with."""
        return compact(self.view(obs))

    def decide(self, seen: Tensor | Sparse, keep: Tensor | None = None, steer: Tensor | None = None) -> Logits:
        """Compute action logits from what is seen. The head is never routed."""
        mixed = self.torso(seen, keep, steer)
        return Logits(self.head(mixed.features), mixed.gate_logits)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, *, chunk: int = CHUNK) -> Tensor:
        """Return action probabilities (N, A), computed `chunk` observations at a time."""
        return torch.cat([self.decide(self.see(part)).actions.softmax(dim=1) for part in obs.split(chunk)])


def sample(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw an action from each row of logits (N, A).

    The largest of log-probability minus log of exponential noise is an exact draw (the Gumbel trick).

    Args:
        logits: (N, A).
        generator: on the logits' device.

    Returns:
        Actions (N,) int64 and their log-probabilities (N,).
    """
    log_probs = logits.log_softmax(dim=1)
    noise = torch.empty_like(logits).exponential_(generator=generator)
    action = (log_probs - noise.log()).argmax(dim=1)
    return action, log_probs.gather(1, action[:, None]).squeeze(1)
