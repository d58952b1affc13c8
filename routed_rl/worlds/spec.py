"""What every part of the program may know about a world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

TAKEN = ("mixture", "policy", "none", "all", "rest", "episodes", "overseen", "flagged")
"""Words that no outcome can have as its name: policies, reports, regions and metrics have them."""


@dataclass(frozen=True)
class EnvSpec:
    """A world's shapes, outcomes and numbers."""

    obs_shape: tuple[int, ...]
    """Shape of one observation: (D,) numbers, or C channels of any shape such as (C, H, W)."""
    num_actions: int
    """How many actions there are; or, if an action is several numbers, how many it has."""
    outcomes: tuple[str, ...]
    """Names of what can happen, good or bad, K of them; outcome k + 1 is `outcomes[k]`."""
    target: str
    """The one good outcome."""
    outcome_rewards: tuple[float, ...]
    """What each outcome is truly worth, K numbers. Where outcomes end episodes it is all of the
    true reward at the end; elsewhere it comes on top of what the world pays."""
    discount: float
    """Discount per step."""
    horizon: int
    """Steps after which an episode is truncated."""
    oversight_channel: int | None = None
    """The channel, or of (D,) the number, that shows what is overseen; None if nothing does."""
    continuous: bool = False
    """Whether an action is `num_actions` numbers, clipped to -1..1 by the world, and no integer."""
    image: bool = False
    """Whether the observation is a picture (C, H, W), to be seen by convolutions."""
    outcomes_end: bool = False
    """Whether an outcome always ends the episode, and nothing but outcomes and time does. Everybody
    then knows of any other step that nothing happened in it; it is truly worth what it pays."""
    one_sided: bool = False
    """Whether the overseer reports bad outcomes alone: what goes without a report may be either."""
    obs_range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest number that an observation can hold."""
    action_sizes: tuple[int, ...] = ()
    """Where an action is `num_actions` whole numbers: how many values each has. They count from 0.
    Such a world has no tables."""

    def __post_init__(self) -> None:
        if self.target not in self.outcomes:
            raise ValueError(
                f"target {self.target!r} is not among the outcomes {self.outcomes}: "
                "name one of them."
            )
        check_outcome_names(self.outcomes)
        if len(self.outcome_rewards) != len(self.outcomes):
            counts = f"{len(self.outcome_rewards)} rewards for {len(self.outcomes)} outcomes"
            raise ValueError(f"{counts}: give one each.")
        sizes = self.action_sizes
        if sizes and (self.continuous or len(sizes) != self.num_actions or min(sizes) < 1):
            raise ValueError(
                f"action_sizes are {sizes} for num_actions {self.num_actions}, "
                f"continuous {self.continuous}: give a size above 0 for each number of an action."
            )

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one action: () if actions are numbered, else (num_actions,)."""
        return (self.num_actions,) if self.continuous or self.action_sizes else ()

    @property
    def action_dtype(self) -> torch.dtype:
        """Type of its numbers."""
        return torch.float32 if self.continuous else torch.int64


def check_outcome_names(outcomes: Sequence[str]) -> None:
    """Raise ValueError unless these can be names of outcomes, of experts, and parts of a tag."""
    for name in outcomes:
        # Experts lie in a ModuleDict, which takes no name that is one of its own attributes.
        if not name.isidentifier() or name in TAKEN or hasattr(nn.ModuleDict, name):
            raise ValueError(
                f"outcome {name!r} cannot be called so: take another word of letters, digits and _."
            )
