"""The settings of a Gymnasium environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from routed_rl.utils.imports import absolute
from routed_rl.utils.settings import parse_yaml
from routed_rl.worlds.config import check_episodes
from routed_rl.worlds.episode_oversight import OversightConfig
from routed_rl.worlds.spec import check_outcome_names


@dataclass(frozen=True)
class Config(OversightConfig):
    """A Gymnasium environment's arguments, its outcomes, and how much is overseen."""

    kwargs: tuple[str, ...] = ()
    """Arguments for gymnasium.make, as key=value; a value is read as in yaml."""
    outcomes: tuple[str, ...] = ("good", "bad")
    """Names of what can happen; the first is the good outcome."""
    outcome_fn: str | None = None
    """What names the outcomes, as module:function or file.py:function of what a step returned."""
    outcome_rewards: tuple[float, ...] = ()
    """What each outcome is truly worth on top of the environment's reward; unless given 0 for the
    good one, -1 for any other."""
    paid: Literal["env", "ends"] = "env"
    """env: the environment's own reward. ends: the paper's world, in which any outcome ends the
    episode and pays 1, and is truly worth 1 if it is the good one, else -1."""
    end_on_outcome: bool = False
    """End an episode where an outcome happens, even where the environment goes on."""
    horizon: int | None = None
    """Steps after which an episode is cut off; the environment's own limit unless given."""
    frame_stack: int = 1
    """Frames that an observation holds, the last ones of the episode; its first stands for those
    before it."""
    discount: float = 0.99
    """Discount per step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outcome_fn is not None:
            # With its whole path: a run may be resumed and evaluated from another folder.
            object.__setattr__(self, "outcome_fn", absolute(self.outcome_fn))
        _ = self.arguments  # raises if one cannot be read
        if not self.outcomes or len(set(self.outcomes)) < len(self.outcomes):
            raise ValueError(f"outcomes are {self.outcomes}: give at least one name, each once.")
        check_outcome_names(self.outcomes)
        if self.outcome_rewards and len(self.outcome_rewards) != len(self.outcomes):
            raise ValueError(
                f"outcome-rewards are {self.outcome_rewards} and outcomes {self.outcomes}: "
                "give one number for each."
            )
        check_episodes(self.horizon, self.discount)
        if self.frame_stack < 1:
            raise ValueError(f"frame-stack is {self.frame_stack}: it must be above 0.")

    @property
    def worth(self) -> tuple[float, ...]:
        """What each outcome is truly worth, as `EnvSpec.outcome_rewards` has it."""
        good = 1.0 if self.paid == "ends" else 0.0
        return self.outcome_rewards or (good, *[-1.0] * (len(self.outcomes) - 1))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `kwargs`, read."""
        found: dict[str, Any] = {}
        for pair in self.kwargs:
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(
                    f"cannot read kwargs {pair!r}: write key=value, such as is_slippery=false."
                )
            try:
                found[key] = parse_yaml(value)
            except ValueError:
                raise ValueError(
                    f"cannot read kwargs {pair!r}: write the value as yaml, such as sizes=[1, 2]."
                ) from None
        return found
