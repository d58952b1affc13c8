"""Who is overseen, and what the overseer then says. Shared by all environments.

For each end and episode one independent draw decides whether the overseer would see it (paper,
section 4.3). The overseer learns an episode's outcome only if the end that was reached is overseen.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Oversight:
    """An overseer that watches each end of each episode with one probability."""

    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"oversight is {self.probability}: give a probability from 0 to 1.")

    def draw(self, uniform: Tensor) -> Tensor:
        """Decide which ends are watched.

        Args:
            uniform: (B, K) fresh draws from [0, 1).

        Returns:
            (B, K) bool.
        """
        return uniform < self.probability

    def see(self, outcome: Tensor, watched: Tensor) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of B steps.

        Args:
            outcome: (B,) int64, 0 where nothing was reached.
            watched: (B, K) bool, the ends that are overseen.

        Returns:
            overseen (B,) bool, true where an overseen end was reached; reported (B,) int64, that
            end, 0 elsewhere.
        """
        overseen = watched.gather(1, (outcome - 1).clamp(min=0)[:, None]).squeeze(1) & (outcome > 0)
        return overseen, outcome * overseen
