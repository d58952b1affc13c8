"""How far a run has come, as its checkpoints hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Any

from routed_rl.rollouts.rollout import Rollout
from routed_rl.utils.files import demand


@dataclass
class RunProgress:
    """How far a run has come."""

    env_steps: int = 0
    labelled_episodes: int = 0
    """Reports: where outcomes end episodes, one an episode at most."""
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    happened: list[int] = field(default_factory=list)
    """How often each outcome has happened, K numbers; empty before the first rollout."""
    labelled: list[int] = field(default_factory=list)
    """How often each was reported, likewise."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> RunProgress:
        """Read it from a checkpoint; one of before version 0.3 does not say what happened.

        Raises:
            ValueError: if something is no number.
        """
        found = {name: state[name] for name in vars(cls()) if name in state}
        demand(found, {name: type(x) for name, x in vars(cls()).items() if name in found})
        for name in {"happened", "labelled"} & set(found):
            counts = {str(k): count for k, count in enumerate(found[name])}
            demand(counts, dict.fromkeys(counts, int))
        return cls(**found)

    def count(self, rollout: Rollout, kinds: int) -> None:
        """Add the steps of a rollout, and what happened in them, of so many kinds of outcome."""
        happened, labelled = (
            numbers.flatten().bincount(minlength=1 + kinds).tolist()[1:]
            for numbers in (rollout.outcome, rollout.reported)
        )
        none = [0] * kinds
        self.happened = list(map(add, self.happened or none, happened))
        self.labelled = list(map(add, self.labelled or none, labelled))
        self.labelled_episodes += sum(labelled)
        self.env_steps += rollout.reward.numel()
