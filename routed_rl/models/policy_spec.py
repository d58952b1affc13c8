"""All that a policy is built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routed_rl.worlds.spec import EnvSpec


@dataclass(frozen=True)
class PolicySpec:
    """Shapes and switches of a policy. A method with one network has one expert and no gate."""

    obs_shape: tuple[int, ...]
    """Shape of one observation."""
    num_actions: int
    """How many actions there are; or, if an action is several numbers, how many it has."""
    experts: tuple[str, ...]
    """Names of the experts, in the order of the outcomes."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers of each expert and the gate."""
    gate: bool = False
    """Whether a gate mixes the experts."""
    weights: tuple[float, ...] | None = None
    """Without a gate: the weight of each expert, 1/E unless given, or 1 on a base."""
    dropped_channel: int | None = None
    """A channel of the observation that the policy does not see."""
    steered: bool = False
    """Whether it also acts with expert weights other than the gate's: the critic is told them."""
    conditioned: bool = False
    """Whether one network conditioned on the expert weights stands in the place of the experts."""
    continuous: bool = False
    """Whether actions are drawn from a Gaussian."""
    image: bool = False
    """Whether experts, gate and critic begin with convolutions."""
    action_sizes: tuple[int, ...] = ()
    """Where an action is several whole numbers: how many values each has."""
    oversight_channel: int | None = None
    """The channel that shows the oversight, if the policy sees it: it is not normalised."""
    activation: str = "relu"
    """What follows each hidden layer but convolutions: "relu" or "tanh"."""
    normalize_obs: bool = False
    """Whether observations are normalised by running statistics."""
    base: bool = False
    """Whether there is a frozen network below the experts, to whose features they add theirs."""

    @classmethod
    def of(
        cls,
        spec: EnvSpec,
        experts: Sequence[str],
        hidden: Sequence[int],
        *,
        hide_oversight: bool = False,
        **switches: Any,
    ) -> PolicySpec:
        """Make one for a world.

        Args:
            spec: of the world.
            experts: their names.
            hidden: widths of the hidden layers.
            hide_oversight: drop the channel that shows the oversight, if there is one.
            switches: `gate`, `steered`, `conditioned`.
        """
        return cls(
            obs_shape=spec.obs_shape,
            num_actions=spec.num_actions,
            experts=tuple(experts),
            hidden=tuple(hidden),
            dropped_channel=spec.oversight_channel if hide_oversight else None,
            continuous=spec.continuous,
            image=spec.image,
            action_sizes=spec.action_sizes,
            oversight_channel=None if hide_oversight else spec.oversight_channel,
            **switches,
        )

    @property
    def visible_shape(self) -> tuple[int, ...]:
        """Shape of an observation without the dropped channel."""
        channels, *rest = self.obs_shape
        return (channels - (self.dropped_channel is not None), *rest)

    @property
    def chunk(self) -> int:
        """So many inputs at a time keep a processor's caches warm (docs/performance.md).

        What a hidden layer makes of so many is 2 MB, if that is from 2,048 to 8,192.
        """
        return 2048 if self.image else min(max(2048, 2**19 // max(self.hidden)), 8192)
