"""What a run is made from: names of its environment and agent, and settings."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace
from types import ModuleType
from typing import Any

import torch

from routed_rl.config import UserError

DEFAULT_ENV, DEFAULT_AGENT = "gridworld", "routed"


@dataclass(frozen=True)
class RunSettings:
    """What a run needs beside its environment and its agent."""

    steps: int = 1_200_000
    """Environment steps to train for; the last rollout may go past it."""
    num_envs: int = 256
    """How many environments are stepped together."""
    seed: int = 0
    """Decides everything random: worlds, weights, actions, evaluation."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    evaluations: int = 5
    """How many times to evaluate on the way, evenly spaced; the last is at the end."""
    episodes: int = 1000
    """Episodes of an evaluation, where it cannot be exact; fewer if they could take over a tenth of the steps."""
    good: tuple[str, ...] = ()
    """Outcomes that are worth 1, all others -1; as the environment says unless given."""
    trace: bool = False
    """Write episodes.csv: for each episode its outcome, label, route and gate."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("num_envs", 1), ("episodes", 1), ("seed", 0), ("evaluations", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}: it must be at least {least}.")
        if self.seed >= 2**63:
            raise ValueError(f"seed is {self.seed}: it must be below 2 to the power of 63.")


@dataclass(frozen=True)
class Choice:
    """Which environment and which agent, by name, and where to look for more of them."""

    env: str = DEFAULT_ENV
    agent: str = DEFAULT_AGENT
    plugins: tuple[str, ...] = ()


def settings_class(env: ModuleType, agent: ModuleType) -> type:
    """Join the run's settings with those of one environment and one agent."""
    parts = [
        (name, module.Config, field(default_factory=module.Config)) for name, module in (("env", env), ("agent", agent))
    ]
    return make_dataclass("Settings", parts, bases=(RunSettings,), frozen=True)


def changed(settings: Any, **changes: Any) -> Any:
    """Change settings.

    Raises:
        UserError: if a value is wrong.
    """
    try:
        return replace(settings, **changes)
    except ValueError as error:
        raise UserError(str(error)) from None


def to_device(name: str) -> torch.device:
    """Return the device of a name.

    Raises:
        UserError: if it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"there is no device {name!r} here: use auto, cpu, or install a torch build for it.") from None
    return device
