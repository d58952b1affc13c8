"""Who is overseen, and what the overseer then says. Shared by all worlds.

For each end and episode one independent draw decides whether the overseer would see it (paper,
section 4.3). The overseer learns an episode's outcome only if the end that was reached is overseen.
Beyond the paper, ends far from the start can go unseen, some kinds of ends can be seen less often,
reports can be wrong, and oversight can end after a number of labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.worlds.outcomes import NOTHING

GOOD = 1
"""The number of the good outcome, which stands first where reports can be wrong."""


@dataclass(frozen=True)
class Oversight:
    """An overseer, as a world's flags describe it."""

    probability: float
    """Probability that the overseer would see an end, drawn once per end and episode."""
    reach: int | None = None
    """Ends further than this many steps from the start are never overseen; None: any may be."""
    false_positive: float = 0.0
    """Probability that an overseen bad end is reported as the good one."""
    false_negative: float = 0.0
    """Probability that an overseen good end is reported as a bad one."""
    budget: int | None = None
    """Labels after which oversight ends; None: it never does."""
    bias: tuple[float, ...] = ()
    """K factors of the probability, one for each outcome; 1 unless given."""

    def __post_init__(self) -> None:
        flags = {"probability": "oversight", "reach": "oversight-reach", "budget": "label-budget"}
        for name in ("probability", "false_positive", "false_negative"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                flag = flags.get(name, name.replace("_", "-"))
                raise ValueError(f"{flag} is {value}: give a probability from 0 to 1.")
        for name in ("reach", "budget"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{flags[name]} is {value}: it cannot be below 0.")

    def condition_probability(
        self, overseen_ends: Tensor, distance: Tensor, *, possible: bool = False
    ) -> Tensor:
        """Return how probable it is that exactly some ends are overseen.

        Args:
            overseen_ends: (S, K) bool, the ends that are.
            distance: (S, K) steps from the start to each end.
            possible: take a probability of 0 or 1, and a factor of 0, as one that is nearly so.

        Returns:
            (S,) float64.
        """
        base = min(max(self.probability, 1e-9), 1 - 1e-9) if possible else self.probability
        reach = math.inf if self.reach is None else self.reach
        probability = (distance <= reach).double() * base  # (S, K) that each end is overseen
        if self.bias:
            bias = torch.tensor(self.bias, device=probability.device)
            probability = probability * (bias.clamp(min=1e-9) if possible else bias)
        # The draws are independent, so the probability of all of them together is a product.
        return torch.where(overseen_ends, probability, 1 - probability).prod(dim=1)

    def draw(self, uniform: Tensor, distance: Tensor | None = None) -> Tensor:
        """Decide which ends are overseen.

        Args:
            uniform: (B, K) fresh draws from [0, 1).
            distance: (B, K) steps from the start to each end; needed with `reach` only.

        Returns:
            (B, K) bool.

        Raises:
            ValueError: if there is a reach, and no distance.
        """
        bias = torch.tensor(self.bias, device=uniform.device) if self.bias else 1.0
        drawn = uniform < self.probability * bias
        if self.reach is None:
            return drawn
        if distance is None:
            raise ValueError(f"reach is {self.reach}: pass the distance of each end to draw().")
        return drawn & (distance <= self.reach)

    def see(
        self,
        outcome: Tensor,
        overseen_ends: Tensor,
        noise: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of B steps.

        Args:
            outcome: (B,) int64, 0 where nothing was reached, 1 for the good end.
            overseen_ends: (B, K) bool.
            noise: (B, 2) fresh draws from [0, 1); without them every report is true.
            labels: () int64, labels given before; needed with `budget` only.

        Returns:
            overseen (B,) bool, true where an overseen end was reached; reported (B,) int64, the end
            that the overseer says it was, 0 elsewhere.

        Raises:
            ValueError: if there is a budget, and no labels.
        """
        # Nothing has no column: any will do, it is masked.
        end = (outcome - 1).clamp(min=0)[:, None]
        overseen = overseen_ends.gather(1, end).squeeze(1) & (outcome > NOTHING)
        if self.budget is not None:
            if labels is None:
                raise ValueError(f"budget is {self.budget}: pass the labels so far to see().")
            # Labels of one step are given in the order of the environments until they are spent.
            overseen = overseen & (labels + overseen.cumsum(dim=0) <= self.budget)
        if noise is None:
            return overseen, outcome * overseen
        kinds = overseen_ends.shape[1]
        bad = 2 + (noise[:, 1] * (kinds - 1)).long()  # one of the bad ends, evenly
        false_good = (outcome > GOOD) & (noise[:, 0] < self.false_positive)
        false_bad = (outcome == GOOD) & (noise[:, 0] < self.false_negative)
        said = torch.where(false_good, GOOD, outcome)
        said = torch.where(false_bad, bad.clamp(max=kinds), said)
        return overseen, said * overseen

    @property
    def errs(self) -> bool:
        """Whether reports can be wrong."""
        return self.false_positive > 0 or self.false_negative > 0
