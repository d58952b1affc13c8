"""What the program may ask of a world's `Config`, whichever world it is.

Every `Config` is a frozen dataclass with a field `oversight`. A budget of labels, if there is one,
is called `label_budget`: it ties the episodes of a run together, so evaluation goes on without it.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any


def at_oversight(config: Any, oversight: float | None) -> Any:
    """Return a world's configuration with another probability of oversight, if one is given."""
    return config if oversight is None else replace(config, oversight=oversight)


def without_budget(config: Any) -> Any:
    """Return a world's configuration without a budget of labels."""
    names = {field.name for field in fields(config)}
    return replace(config, label_budget=None) if "label_budget" in names else config


def report_rate(config: Any) -> float:
    """Return the probability that a bad outcome is reported, as the settings have it.

    It leaves out what depends on the outcome or the place: blind spots, and reports that are wrong.
    """
    names = {field.name for field in fields(config)}
    return config.oversight * (config.recall if "recall" in names else 1.0)


def check_episodes(horizon: int | None, discount: float) -> None:
    """Raise ValueError unless episodes can be cut off after `horizon` steps and discounted so."""
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon is {horizon}: it must be above 0.")
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount is {discount}: give a number from 0 to 1.")
