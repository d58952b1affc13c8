"""Oversight for worlds whose outcomes have no place to mark: one draw for a whole episode."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.worlds.oversight import Oversight
from routed_rl.worlds.process import ProcessConfig


@dataclass(frozen=True)
class OversightConfig(ProcessConfig):
    """The flags of an overseer, for the Config of a world whose outcomes have no place to mark."""

    oversight: float = 0.1
    """Probability that the overseer sees what happens in an episode, drawn once per episode."""
    show_oversight: bool = True
    """Show the policy, by one number or channel more, whether its episode is overseen."""
    false_positive: float = 0.0
    """Probability that an overseen bad outcome is reported as the good one."""
    false_negative: float = 0.0
    """Probability that an overseen good outcome is reported as a bad one."""

    def __post_init__(self) -> None:
        super().__post_init__()
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

    overseen: Tensor  # (B,) bool, whether the running episode is overseen

    def __init__(
        self,
        overseer: Oversight,
        num_envs: int,
        num_outcomes: int,
        generator: torch.Generator,
        *,
        every_step: bool = False,
    ) -> None:
        """Draw for B first episodes.

        Args:
            overseer: how probable it is, and how often it errs.
            num_envs: B.
            num_outcomes: K.
            generator: to draw from.
            every_step: look at every step of an overseen episode. Without, the overseer is asked
                where outcomes happen only: enough where they end episodes, which everybody sees.
        """
        self._overseer = overseer
        self._num_outcomes = num_outcomes
        self._generator = generator
        self._every_step = every_step
        self.overseen = torch.zeros(num_envs, dtype=torch.bool, device=generator.device)
        self.renew(~self.overseen)

    def see(self, outcome: Tensor) -> tuple[Tensor, Tensor]:
        """Say what the overseer sees of outcomes (B,): overseen (B,) bool, reported (B,) int64."""
        noise = self._uniform(2) if self._overseer.errs else None
        every_outcome = self.overseen[:, None].expand(-1, self._num_outcomes)
        overseen, reported = self._overseer.see(outcome, every_outcome, noise)
        return self.overseen if self._every_step else overseen, reported

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
