"""A point that moves in the plane by continuous actions, with a good and a bad region to end in.

A push of two numbers moves the point, which starts apart from both regions. It is the smallest
world in which the policy is a Gaussian. An observation says by six numbers where everything is, and
by one more whether the episode is overseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from routed_rl.worlds.config import check_episodes
from routed_rl.worlds.episode_oversight import EpisodeOversight, OversightConfig
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.process import with_process
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv

from ._parts.episodes import Episodes

_COLOURS = {
    "point": (47, 52, 64),
    "good": (60, 180, 190),
    "bad": (170, 110, 220),
    "overseen": (250, 215, 90),
}
_PIXELS = 120
"""Along the side of a picture."""
_DOT = 0.05
"""Radius of the point in pictures; the plane reaches from -1 to 1."""
_FRAME = 4
"""Pixels of the frame around an overseen plane."""


@dataclass(frozen=True)
class Config(OversightConfig):
    """How far a step goes, how large the regions are, and how much is overseen."""

    horizon: int = 64
    """Steps after which an episode is cut off."""
    discount: float = 0.9
    """Discount per step; so low that it pays to find the nearer region."""
    radius: float = 0.25
    """Radius of the regions; the plane reaches from -1 to 1."""
    speed: float = 0.08
    """How far the point moves along each axis in one step, at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_episodes(self.horizon, self.discount)
        if not 0.0 < self.radius <= 0.25:
            raise ValueError(
                f"radius is {self.radius}: it must be above 0, and 0.25 at most: regions lie apart."
            )
        if self.speed <= 0.0:
            raise ValueError(f"speed is {self.speed}: it must be above 0.")


class Point(Episodes):
    """B points.

    An observation is where the point is, how far the good and the bad region lie from it, and the
    oversight if that is shown.
    """

    STATE = ("places", "age")

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` planes whose draws all come from `seed`."""
        super().__init__(num_envs, seed=seed, device=device)
        self.config = config
        self.spec = EnvSpec(
            obs_shape=(6 + config.show_oversight,),
            obs_range=(-2.0, 2.0),  # the plane is 2 wide, so no region is further away
            num_actions=2,
            outcomes=("good", "bad"),
            target="good",
            outcome_rewards=(1.0, -1.0),
            discount=config.discount,
            horizon=config.horizon,
            oversight_channel=6 if config.show_oversight else None,
            continuous=True,
            outcomes_end=True,
        )
        # It draws from the generator of the places, whose state is saved.
        self._oversight = EpisodeOversight(config.overseer, num_envs, 2, self._generator)
        self._ids = torch.arange(1, 3, device=self.device)
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards), device=self.device)
        self.reset()

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, D)."""
        self._places = self._draw()
        self._age = self._zero_ages()
        self._oversight.renew(torch.ones_like(self._age, dtype=torch.bool))
        self._final = self._observe()
        return self._final

    def step(self, actions: Tensor) -> Step:
        """Push each point; where a region or the horizon is reached, a new episode starts.

        Args:
            actions: (B, 2) float, clipped to -1..1.
        """
        push = self.config.speed * actions.clamp(-1, 1)[:, None]
        point = (self._places[:, :1] + push).clamp(-1, 1)  # (B, 1, 2)
        regions = self._places[:, 1:]  # (B, 2, 2)
        inside = (point - regions).square().sum(dim=2) <= self.config.radius**2  # (B, 2)
        # Regions lie apart, so a point is in one at most: the sum is its number, or 0.
        outcome = (inside * self._ids).sum(dim=1)
        terminated = outcome != NOTHING
        self._places = torch.cat((point, regions), dim=1)
        self._age = self._age + 1
        truncated = (self._age >= self.config.horizon) & ~terminated
        overseen, reported = self._oversight.see(outcome)
        self._final = self._observe()
        self._restart(terminated | truncated)
        return Step(
            obs=self._observe(),
            final_obs=self._final,
            reward=terminated.float(),  # any end pays, good or bad
            true_reward=self._rewards[outcome],
            terminated=terminated,
            truncated=truncated,
            outcome=outcome,
            overseen=overseen,
            reported=reported,
        )

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one plane, or with `final` what its last push led to.

        Returns:
            (H, W, 3) uint8 for "rgb_array", a string for "ansi".
        """
        obs = (self._final if final else self._observe())[index].cpu()
        point, good, bad = obs[:6].view(3, 2).numpy()
        places = {"bad": point + bad, "good": point + good, "point": point}
        if mode == "ansi":
            return "  ".join(f"{name} at {x:+.2f} {y:+.2f}" for name, (x, y) in places.items())
        picture = np.full((_PIXELS, _PIXELS, 3), 255, dtype=np.uint8)
        axis = np.linspace(-1, 1, _PIXELS)
        # The point comes last, over the regions. Rows count downwards: the axis of y is reversed.
        for name, (x, y) in places.items():
            radius = _DOT if name == "point" else self.config.radius
            disc = (axis[None, :] - x) ** 2 + (axis[::-1, None] - y) ** 2 <= radius**2
            picture[disc] = _COLOURS[name]
        if self.config.show_oversight and obs[6] > 0:
            frame = np.ones((_PIXELS, _PIXELS), dtype=bool)
            frame[_FRAME:-_FRAME, _FRAME:-_FRAME] = False
            picture[frame] = _COLOURS["overseen"]
        return picture

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes, which of them are overseen, and the generator's state."""
        return super().state_dict() | {"overseen_ends": self._oversight.overseen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the episodes of a `state_dict`."""
        super().load_state_dict(state)
        self._oversight.overseen = state["overseen_ends"].to(self.device)

    def _restart(self, done: Tensor) -> None:
        """Begin a new episode where one is done, (B,) bool."""
        self._oversight.renew(done)
        # Drawn for all and used where done: to count rows, the host would wait for the device.
        self._places = torch.where(done[:, None, None], self._draw(), self._places)
        self._age = torch.where(done, 0, self._age)

    def _draw(self) -> Tensor:
        """Draw places (B, 3, 2) of point, good and bad region, a little off three of nine cells."""
        cells = self._uniform(9).argsort(dim=1)[:, :3]
        # The middles of a 3x3 board over the plane: -2/3, 0 and 2/3 along each axis.
        middle = torch.stack((cells % 3, cells // 3), dim=2) * (2 / 3) - 2 / 3
        return middle + 0.08 * (2 * self._uniform(3, 2) - 1)

    def _observe(self) -> Tensor:
        """Lay out in a row where everything is now: (B, D)."""
        point = self._places[:, :1]
        row = torch.cat((point, self._places[:, 1:] - point), dim=1).flatten(1)
        return self._oversight.show(row) if self.config.show_oversight else row


def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> VecEnv:
    """Make `num_envs` points."""
    env = Point(config, num_envs, seed=seed, device=device)
    return with_process(env, config, seed=seed)
