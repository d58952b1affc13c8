"""Oversight for worlds whose ends have no place to mark: one draw an episode, for all its ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.worlds.oversight import Oversight


@dataclass(frozen=True)
class OversightConfig:
    """The flags of an overseer, for the Config of a world whose ends have no place to mark."""

    oversight: float = 0.1
    """Probability that the overseer would see how an episode ends, drawn once per episode."""
    show_oversight: bool = True
    """Show the policy, by one number or channel more, whether its episode is overseen."""
    false_positive: float = 0.0
    """Probability that an overseen bad end is reported as the good one."""
    false_negative: float = 0.0
    """Probability that an overseen good end is reported as a bad one."""

    def __post_init__(self) -> None:
        _ = self.overseer  # raises if a number is wrong

    @property
    def overseer(self) -> Oversight:
        """Who sees what."""
        return Oversight(
            self.oversight,
            false_positive=self.false_positive,
            false_negative=self.false_negative,
        )


class EpisodeOversight:
    """Oversight of B environments that is drawn once an episode."""

    overseen: Tensor  # (B,) bool, whether the overseer would see how the running episode ends

    def __init__(
        self, overseer: Oversight, num_envs: int, num_ends: int, generator: torch.Generator
    ) -> None:
        """Draw for B first episodes."""
        self._overseer = overseer
        self._num_ends = num_ends
        self._generator = generator
        self.overseen = torch.zeros(num_envs, dtype=torch.bool, device=generator.device)
        self.renew(~self.overseen)

    def see(self, outcome: Tensor) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of outcomes (B,): overseen (B,) bool, reported (B,) int64."""
        noise = self._uniform(2) if self._overseer.errs else None
        every_end = self.overseen[:, None].expand(-1, self._num_ends)
        return self._overseer.see(outcome, every_end, noise)

    def renew(self, done: Tensor) -> None:
        """Draw anew for the episodes that follow those that are done, (B,) bool."""
        # Drawn for all B, used where an episode ended: what is drawn does not depend on ends.
        drawn = self._overseer.draw(self._uniform(1)).squeeze(1)
        self.overseen = torch.where(done, drawn, self.overseen)

    def show(self, obs: Tensor) -> Tensor:
        """Append a channel to observations (B, C, ...), or a number to (B, D): 1 where overseen."""
        flag = self.overseen.to(obs.dtype).view(-1, *[1] * (obs.ndim - 1))  # (B, 1, ...)
        return torch.cat((obs, flag.expand(-1, 1, *obs.shape[2:])), dim=1)

    def _uniform(self, columns: int) -> Tensor:
        """Draw (B, columns) from [0, 1)."""
        generator = self._generator
        rows = len(self.overseen)
        return torch.rand(rows, columns, generator=generator, device=generator.device)
