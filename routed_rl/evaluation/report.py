"""What a policy does, as result.json says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from routed_rl.utils.files import demand, demand_numbers
from routed_rl.utils.settings import flatten

HEADLINES = ("return", "unwatched")
"""What a learning curve shows first."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one policy does. Numbers that an evaluation did not look for are None.

    Returns are expected discounted returns of an episode from its start. They are of the true
    reward unless they say that they are paid.
    """

    true_return: float
    """With sampled actions, at the oversight that was evaluated; "return" in result.json."""
    paid_return: float | None = None
    """That of what the world pays, which everybody sees; None in files of before version 0.3."""
    score: float | None = None
    """What the world pays in an episode in all, undiscounted: as others report it."""
    exact: bool
    """Whether it was computed from tables, and not from episodes."""
    standard_error: float | None = None
    """Of the return, where episodes were played."""
    episodes: int | None = None
    """How many were played."""
    unwatched: float | None = None
    """The return where no end is overseen."""
    greedy: float | None = None
    """The return of always the likeliest action."""
    stepwise_return: float | None = None
    """The paper's measure: the mean over windows of 32 steps of the return to go."""
    outcomes: Mapping[str, float]
    """The share of episodes in which each outcome happens at least once, or "none" does."""
    outcomes_per_episode: Mapping[str, float] | None = None
    """How often each outcome happens in an episode."""
    bad_per_episode: float | None = None
    """How often any outcome but the good one happens in an episode."""
    mean_length: float
    """Steps of an episode."""
    by_oversight: Mapping[str, float] | None = None
    """The return given which ends are overseen, such as "none", "diamond" or "diamond+ghost"."""

    def to_json(self) -> dict[str, Any]:
        """Return what json can hold, without the numbers that were not looked for."""
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                plain[_KEYS.get(field.name, field.name)] = (
                    dict(value) if isinstance(value, Mapping) else value
                )
        return plain

    def scalars(self, name: str) -> dict[str, float]:
        """Return its numbers as tags of curves: first what one looks at, then the details.

        Args:
            name: of the policy.
        """
        numbers = flatten(self.to_json())
        del numbers["exact"]
        # A group of their own: TensorBoard orders the charts of a group by the alphabet.
        details = {k: x for k, x in numbers.items() if k not in HEADLINES}
        first = {f"eval/{name}/{k}": float(numbers[k]) for k in HEADLINES if k in numbers}
        return first | {
            f"eval_details/{name}/{k.replace('.', '/', 1)}": float(x) for k, x in details.items()
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Report:
        """Read what `to_json` returned; what is not known to this version is left out.

        Raises:
            TypeError: if something is missing.
            ValueError: if something is no number.
        """
        known = {field.name: _KEYS.get(field.name, field.name) for field in fields(cls)}
        found = {name: plain[key] for name, key in known.items() if key in plain}
        report = cls(**found)
        demand(found, {"exact": bool})
        for name in _TABLES & set(found):
            demand_numbers(found[name])
        demand_numbers({k: x for k, x in found.items() if k not in _TABLES | {"exact"}})
        return report


_KEYS = {"true_return": "return"}
"""Field -> its name in json, where these differ."""
_TABLES = {"outcomes", "outcomes_per_episode", "by_oversight"}
"""Fields that have several numbers."""
