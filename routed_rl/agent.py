"""What an agent must be: a method, as the trainer sees it."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from routed_rl.policy import Policy
from routed_rl.rollout import Decision, Rollout


class Agent(Protocol):
    """A method: how to act, how to learn from a rollout, which policies it offers and which one to ship."""

    sees_everything: bool
    """Whether it learns from the truth. Every table says so."""
    acting: str
    """The name, in `policies()`, of the policy that acts in training."""
    deployed: str
    """The name, in `policies()`, of the policy to ship."""
    remark: str
    """What to know when reading the table of its policies."""

    def act(self, obs: Tensor) -> Decision:
        """Decide for observations (B, *obs_shape)."""
        ...

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        """Learn from a rollout, labels hidden unless it `sees_everything`; return metrics, `group/name` -> scalar."""
        ...

    def policies(self) -> dict[str, Policy]:
        """Return the policies to evaluate, by name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to continue to the same bits: tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        ...
