"""A point that moves in the plane by continuous actions, with a good and a bad region to end in.

A push of two numbers moves the point, which starts apart from both regions. It is the smallest world in which the
policy is a Gaussian; where everything lies is told as six numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from routed_rl.env import NOTHING, EnvSpec, Model, Scene, Step
from routed_rl.oversight import EpisodeOversight, OversightConfig

from ._episodes import Episodes

_COLOURS = {"point": (47, 52, 64), "good": (60, 180, 190), "bad": (170, 110, 220), "overseen": (250, 215, 90)}
_PIXELS, _DOT = 120, 0.05


@dataclass(frozen=True)
class Config(OversightConfig):
    """How far a step goes, how large the regions are, and how much is overseen."""

    horizon: int = 64
    """Steps after which an episode is cut off."""
    discount: float = 0.9
    """Discount per step; low enough that the nearer region is worth finding."""
    radius: float = 0.25
    """Radius of the regions; the plane reaches from -1 to 1."""
    speed: float = 0.08
    """How far the point moves along each axis in one step, at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}: it must be above 0.")
        if not 0.0 <= self.discount <= 1.0:
            raise ValueError(f"discount is {self.discount}: give a number from 0 to 1.")
        if not 0.0 < self.radius <= 0.25:
            raise ValueError(f"radius is {self.radius}: it must be above 0, and 0.25 at most: regions lie apart.")
        if self.speed <= 0.0:
            raise ValueError(f"speed is {self.speed}: it must be above 0.")


class Point(Episodes):
    """B points. An observation is the point's, the good and the bad region's coordinates, and the oversight."""

    STATE = ("places", "age")

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` planes whose draws all come from `seed`."""
        self.config, self.num_envs, self.device = config, num_envs, torch.device(device)
        self.spec = EnvSpec(
            obs_shape=(6 + config.show_oversight,),
            obs_range=(-2.0, 2.0),
            num_actions=2,
            outcomes=("good", "bad"),
            target="good",
            outcome_rewards=(1.0, -1.0),
            discount=config.discount,
            horizon=config.horizon,
            oversight_plane=6 if config.show_oversight else None,
            continuous=True,
        )
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._oversight = EpisodeOversight(config.overseer, num_envs, 2, self._generator)
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards), device=self.device)
        self.reset()

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, D)."""
        self._places, self._age = self._draw(), torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._oversight.renew(torch.ones_like(self._age, dtype=torch.bool))
        self._final = self._observe(self._places)
        return self._final

    def step(self, actions: Tensor) -> Step:
        """Push each point by (B, 2) numbers, clipped to -1..1; where an episode ends, a new one starts."""
        point, regions = self._places[:, :1], self._places[:, 1:]
        point = (point + self.config.speed * actions.clamp(-1, 1)[:, None]).clamp(-1, 1)
        inside = (point - regions).square().sum(dim=2) <= self.config.radius**2  # (B, 2), never both
        outcome = torch.where(inside[:, 0], 1, torch.where(inside[:, 1], 2, NOTHING))
        self._age = self._age + 1
        terminated = outcome != NOTHING
        truncated = (self._age >= self.config.horizon) & ~terminated
        done = terminated | truncated
        overseen, reported = self._oversight.see(outcome)
        moved = torch.cat((point, regions), dim=1)
        self._final = self._observe(moved)
        self._oversight.renew(done)
        self._places = torch.where(done[:, None, None], self._draw(), moved)
        self._age = torch.where(done, 0, self._age)
        obs = self._observe(self._places)
        return Step(obs, self._final, self._rewards[outcome], terminated, truncated, outcome, overseen, reported)

    def model(self) -> Model | None:
        """Return None: a plane has no list of states."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one plane, or with `final` what its last push led to: "rgb_array" (H, W, 3) uint8, "ansi" a string."""
        seen = (self._final if final else self._observe(self._places))[index].cpu()
        point, good, bad = seen[:6].view(3, 2).numpy()
        places = {"bad": point + bad, "good": point + good, "point": point}
        if mode == "ansi":
            return "  ".join(f"{name} at {x:+.2f} {y:+.2f}" for name, (x, y) in places.items())
        picture = np.full((_PIXELS, _PIXELS, 3), 255, dtype=np.uint8)
        axis = np.linspace(-1, 1, _PIXELS)
        for name, (x, y) in places.items():
            radius = _DOT if name == "point" else self.config.radius
            picture[(axis[None, :] - x) ** 2 + (axis[::-1, None] - y) ** 2 <= radius**2] = _COLOURS[name]
        if self.config.show_oversight and seen[6] > 0:
            picture[:4] = picture[-4:] = picture[:, :4] = picture[:, -4:] = _COLOURS["overseen"]
        return picture

    def scenes(self) -> list[Scene]:
        """Return none: arrows are for numbered actions."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes, who is watched, and the generator's state."""
        return super().state_dict() | {"watched": self._oversight.watched}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the episodes of a `state_dict`."""
        super().load_state_dict(state)
        self._oversight.watched = state["watched"].to(self.device)

    def _draw(self) -> Tensor:
        """Draw places (B, 3, 2) of point, good and bad region, on three of nine cells, a little off their middle."""
        options = {"generator": self._generator, "device": self.device}
        cells = torch.rand(self.num_envs, 9, **options).argsort(dim=1)[:, :3]
        middle = torch.stack((cells % 3, cells // 3), dim=2) * (2 / 3) - 2 / 3
        return middle + 0.08 * (2 * torch.rand(self.num_envs, 3, 2, **options) - 1)

    def _observe(self, places: Tensor) -> Tensor:
        """Lay out in a row where the point is and how far the regions lie from it, then the oversight: (B, D)."""
        row = torch.cat((places[:, :1], places[:, 1:] - places[:, :1]), dim=1).flatten(1)
        return self._oversight.show(row) if self.config.show_oversight else row


def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Point:
    """Make `num_envs` points."""
    return Point(config, num_envs, seed=seed, device=device)
