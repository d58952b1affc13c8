"""A policy: what is seen, a mixture of experts, and a head that turns features into actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.distributions import Categorical, Distribution, Gaussian, GaussianHead
from routed_rl.env import EnvSpec
from routed_rl.experts import Gate, MixtureOfExperts, OneForAll
from routed_rl.networks import DropPlane, Told, linear, network
from routed_rl.sparse import Sparse, compact

CHUNK = 2048
"""So many samples at a time keep a processor's caches warm: about a third faster than all at once."""


class Logits(NamedTuple):
    """What a policy answers to N observations."""

    actions: Tensor  # (N, P) parameters of the action's distribution: of numbered actions their logits (N, A)
    gate: Tensor | None  # (N, E)


@dataclass(frozen=True)
class Blueprint:
    """All that a policy is built from. A method with one network has one expert and no gate."""

    obs_shape: tuple[int, ...]
    """Shape of one observation."""
    num_actions: int
    """How many actions there are, or how many numbers a continuous action has."""
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
    told: bool = False
    """Whether one network that is told the expert weights stands in the place of the experts."""
    continuous: bool = False
    """Whether actions are drawn from a Gaussian."""
    image: bool = False
    """Whether experts, gate and critic begin with convolutions."""

    @classmethod
    def of(
        cls,
        spec: EnvSpec,
        experts: Sequence[str],
        hidden: Sequence[int],
        *,
        gate: bool = False,
        steered: bool = False,
        told: bool = False,
        hide_oversight: bool = False,
    ) -> Blueprint:
        """Draw one for an environment."""
        return cls(
            spec.obs_shape,
            spec.num_actions,
            tuple(experts),
            tuple(hidden),
            gate=gate,
            dropped_plane=spec.oversight_plane if hide_oversight else None,
            steered=steered,
            told=told,
            continuous=spec.continuous,
            image=spec.image,
        )

    def build(self) -> Policy:
        """Build the policy, with weights drawn from torch's global generator."""
        view, shape = self.view()
        torso = self._one_for_all(shape) if self.told else self._mixture(shape)
        head: nn.Module = linear(self.hidden[-1], self.num_actions)
        return Policy(self, view, torso, GaussianHead(head, self.num_actions) if self.continuous else head)

    def _mixture(self, shape: tuple[int, ...]) -> MixtureOfExperts:
        """Build the experts and the gate."""
        count = len(self.experts)
        experts = {name: network(shape, self.hidden, image=self.image) for name in self.experts}
        gate = None
        if self.gate:
            gate = Gate(network(shape, self.hidden, Gate.logits_of(count), image=self.image), count)
        return MixtureOfExperts(experts, gate, self.weights)

    def _one_for_all(self, shape: tuple[int, ...]) -> OneForAll:
        """Build the one network that is told."""
        count = len(self.experts)
        told = Told(network(shape, self.hidden, image=self.image), count)
        return OneForAll(told, self.weights or (1 / count,) * count)

    def build_critic(self) -> nn.Module:
        """Build a value network over what the policy sees, and the expert weights if steered: (N, *seen) -> (N, 1)."""
        critic = network(self.view()[1], self.hidden, 1, image=self.image)
        return Told(critic, len(self.experts)) if self.steered else critic

    def view(self) -> tuple[nn.Module, tuple[int, ...]]:
        """Return what leaves the dropped plane out, and the shape that is left."""
        if self.dropped_plane is None:
            return nn.Identity(), self.obs_shape
        planes, *rest = self.obs_shape
        return DropPlane(planes, self.dropped_plane), (planes - 1, *rest)


class Policy(nn.Module):
    """What acts: a view of the observation, experts, and a head."""

    def __init__(self, blueprint: Blueprint, view: nn.Module, torso: MixtureOfExperts, head: nn.Module) -> None:
        """Join the parts; `view` changes what both the experts and the gate get to see."""
        super().__init__()
        self.blueprint, self.view, self.torso, self.head = blueprint, view, torso, head
        self.distribution: Distribution = Gaussian() if blueprint.continuous else Categorical()

    def forward(self, obs: Tensor, keep: Tensor | None = None, steer: Tensor | None = None) -> Logits:
        """Compute the parameters of the actions' distribution; `keep` and `steer` as in `MixtureOfExperts.forward`."""
        return self.decide(self.view(obs), keep, steer)

    def see(self, obs: Tensor) -> Tensor | Sparse:
        """Return what is seen of observations (N, *obs_shape), in the form that is fastest to compute with."""
        return self.pack(self.view(obs))

    def pack(self, view: Tensor) -> Tensor | Sparse:
        """Put what `self.view` gave into that form; convolutions want it as it is."""
        return view if self.blueprint.image else compact(view)

    def decide(self, seen: Tensor | Sparse, keep: Tensor | None = None, steer: Tensor | None = None) -> Logits:
        """Compute them from what is seen. The head is never routed."""
        mixed = self.torso(seen, keep, steer)
        return Logits(self.head(mixed.features), mixed.gate_logits)

    @torch.no_grad()
    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool = False) -> Tensor:
        """Return sampled actions for observations (N, *obs_shape), or if `greedy` the likeliest ones."""
        parameters = self(obs).actions
        return self.distribution.mode(parameters) if greedy else self.distribution.sample(parameters, generator)[0]

    @torch.no_grad()
    def probabilities(self, obs: Tensor, *, chunk: int = CHUNK) -> Tensor:
        """Return the probabilities (N, A) of numbered actions, computed `chunk` observations at a time."""
        return torch.cat([self.decide(self.see(part)).actions.softmax(dim=1) for part in obs.split(chunk)])
