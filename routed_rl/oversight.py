"""Who is overseen, and what the overseer then says. Shared by all environments.

For each end and episode one independent draw decides whether the overseer would see it (paper, section 4.3). The
overseer learns an episode's outcome only if the end that was reached is overseen. Beyond the paper, ends far from
the start can go unseen, some kinds of ends less often seen, reports can be wrong, and oversight can end after a number
of labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Oversight:
    """An overseer, as an environment's flags describe it."""

    probability: float
    """Chance that the overseer would see an end, drawn once per end and episode."""
    reach: int | None = None
    """Ends further than this many steps from the start are never overseen; None: distance does not matter."""
    false_positive: float = 0.0
    """Chance that an overseen bad end is reported as the good one."""
    false_negative: float = 0.0
    """Chance that an overseen good end is reported as a bad one."""
    budget: int | None = None
    """Labels after which oversight ends; None: it never does."""
    bias: tuple[float, ...] = ()
    """K factors of the probability, one for each outcome; 1 unless given."""

    def __post_init__(self) -> None:
        for name, flag in (("probability", "oversight"), ("false_positive", ""), ("false_negative", "")):
            if not 0.0 <= getattr(self, name) <= 1.0:
                flag = flag or name.replace("_", "-")
                raise ValueError(f"{flag} is {getattr(self, name)}: give a probability from 0 to 1.")
        for name, flag in (("reach", "oversight-reach"), ("budget", "label-budget")):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise ValueError(f"{flag} is {getattr(self, name)}: it cannot be below 0.")

    def odds(self, watched: Tensor, distance: Tensor, *, possible: bool = False) -> Tensor:
        """Return how likely it is that exactly some ends are overseen.

        Args:
            watched: (S, K) bool, the ends that are.
            distance: (S, K) steps from the start to each end.
            possible: take a probability of 0 or 1, and a factor of 0, as one that is nearly so.

        Returns:
            (S,) float64.
        """
        p = min(max(self.probability, 1e-9), 1 - 1e-9) if possible else self.probability
        chance = (distance <= (math.inf if self.reach is None else self.reach)).double() * p
        if self.bias:
            bias = torch.tensor(self.bias, device=chance.device)
            chance = chance * (bias.clamp(min=1e-9) if possible else bias)
        return torch.where(watched, chance, 1 - chance).prod(dim=1)

    def draw(self, uniform: Tensor, distance: Tensor | None = None) -> Tensor:
        """Decide which ends are watched.

        Args:
            uniform: (B, K) fresh draws from [0, 1).
            distance: (B, K) steps from the start to each end; needed with `reach` only.

        Returns:
            (B, K) bool.
        """
        factor = torch.tensor(self.bias, device=uniform.device) if self.bias else 1.0
        watched = uniform < self.probability * factor
        return watched if self.reach is None or distance is None else watched & (distance <= self.reach)

    def see(
        self, outcome: Tensor, watched: Tensor, noise: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of B steps.

        Args:
            outcome: (B,) int64, 0 where nothing was reached, 1 for the good end.
            watched: (B, K) bool, the ends that are overseen.
            noise: (B, 2) fresh draws from [0, 1); without them every report is true.
            labels: () int64, labels given before; needed with `budget` only.

        Returns:
            overseen (B,) bool, true where an overseen end was reached; reported (B,) int64, the end that the
            overseer says it was, 0 elsewhere.
        """
        overseen = watched.gather(1, (outcome - 1).clamp(min=0)[:, None]).squeeze(1) & (outcome > 0)
        if self.budget is not None and labels is not None:
            overseen = overseen & (labels + overseen.cumsum(dim=0) <= self.budget)
        if noise is None:
            return overseen, outcome * overseen
        bad = 2 + (noise[:, 1] * (watched.shape[1] - 1)).long()  # one of the bad ends, evenly
        said = torch.where((outcome > 1) & (noise[:, 0] < self.false_positive), 1, outcome)
        said = torch.where((outcome == 1) & (noise[:, 0] < self.false_negative), bad.clamp(max=watched.shape[1]), said)
        return overseen, said * overseen

    @property
    def errs(self) -> bool:
        """Whether reports can be wrong."""
        return self.false_positive > 0 or self.false_negative > 0


@dataclass(frozen=True)
class OversightConfig:
    """The flags of an overseer, for the Config of an environment whose ends have no place to mark."""

    oversight: float = 0.1
    """Probability that the overseer would see how an episode ends, drawn once per episode."""
    show_oversight: bool = True
    """Show the policy, by one number or plane more, whether its episode is overseen."""
    false_positive: float = 0.0
    """Chance that an overseen bad end is reported as the good one."""
    false_negative: float = 0.0
    """Chance that an overseen good end is reported as a bad one."""

    def __post_init__(self) -> None:
        _ = self.overseer

    @property
    def overseer(self) -> Oversight:
        """Who sees what."""
        return Oversight(self.oversight, false_positive=self.false_positive, false_negative=self.false_negative)


class EpisodeOversight:
    """Oversight of B environments that is drawn once an episode, for all its ends together."""

    watched: Tensor  # (B,) bool, whether the overseer would see how the running episode ends

    def __init__(self, overseer: Oversight, num_envs: int, num_ends: int, generator: torch.Generator) -> None:
        """Draw for B first episodes."""
        self._overseer, self._ends, self._generator = overseer, num_ends, generator
        self.watched = torch.zeros(num_envs, dtype=torch.bool, device=generator.device)
        self.renew(~self.watched)

    def see(self, outcome: Tensor) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of outcomes (B,): overseen (B,) bool, and what is reported (B,) int64."""
        noise = self._uniform(2) if self._overseer.errs else None
        return self._overseer.see(outcome, self.watched[:, None].expand(-1, self._ends), noise)

    def renew(self, done: Tensor) -> None:
        """Draw anew for the episodes that follow those that are done, (B,) bool."""
        self.watched = torch.where(done, self._overseer.draw(self._uniform(1)).squeeze(1), self.watched)

    def show(self, obs: Tensor) -> Tensor:
        """Append to observations (B, C, ...) a plane, or to (B, D) a number, that is 1 where the episode is watched."""
        flag = self.watched.to(obs.dtype).view(-1, *[1] * (obs.ndim - 1))
        return torch.cat((obs, flag.expand(-1, 1, *obs.shape[2:])), dim=1)

    def _uniform(self, columns: int) -> Tensor:
        """Draw (B, columns) from [0, 1)."""
        return torch.rand(len(self.watched), columns, generator=self._generator, device=self._generator.device)
