"""A meadow with a treasure and a trap.

This file is a template, written by `routed-rl new-env`: it trains as it is. Change it bit by bit, and let
`routed-rl check NAME` tell you whether it still keeps the contract, which `routed_rl/env.py` spells out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from routed_rl.env import EnvSpec, Model, Scene, Step
from routed_rl.oversight import Oversight

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Row and column of each action: up, down, left, right."""


@dataclass(frozen=True)
class Config:
    """Each field becomes a flag, such as --env.size, and the sentence under it becomes the flag's help."""

    size: int = 5
    """Rows and columns of the meadow."""
    horizon: int = 32
    """Steps after which an episode is cut off."""
    discount: float = 0.97
    """Discount per step."""
    oversight: float = 0.1
    """Probability that the overseer would see an end, drawn once per end and episode. Every Config has this field."""

    def __post_init__(self) -> None:
        if self.size < 2:
            raise ValueError(f"size is {self.size}: it must be at least 2.")
        Oversight(self.oversight)  # checks the probability


class Meadow:
    """B meadows as tensors. All copies are stepped at once: write arithmetic over B, not a loop."""

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` meadows whose draws all come from `seed`."""
        self.config, self.num_envs, self.device = config, num_envs, device
        self.spec = EnvSpec(
            obs_shape=(4, config.size, config.size),  # planes: agent, treasure, trap, what is overseen
            num_actions=len(MOVES),
            outcomes=("treasure", "trap"),  # the ends that an episode can reach; an agent gets one expert for each
            target="treasure",
            outcome_rewards=(1.0, -1.0),
            discount=config.discount,
            horizon=config.horizon,
            oversight_plane=3,  # None if nothing shows the agent what is overseen
        )
        self._oversight = Oversight(config.oversight)
        self._generator = torch.Generator(device).manual_seed(seed)  # draw from this one only
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards), device=device)
        self._moves = torch.tensor(MOVES, device=device)
        self.reset()

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, 4, size, size)."""
        self._things, self._watched = self._draw()
        self._age = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._last = self._observe()
        return self._last

    def step(self, actions: Tensor) -> Step:
        """Move each agent; where an episode ends, the next starts in the same step."""
        agent = (self._things[:, 0] + self._moves[actions]).clamp(0, self.config.size - 1)
        ends = self._things[:, 1:]
        self._things = torch.cat((agent[:, None], ends), dim=1)
        self._age = self._age + 1
        reached = (agent[:, None] == ends).all(dim=2)  # (B, 2) treasure, trap
        outcome = (reached * torch.tensor((1, 2), device=self.device)).sum(dim=1)  # 0: nothing, k + 1: outcomes[k]
        terminated = outcome > 0
        truncated = (self._age >= self.config.horizon) & ~terminated
        overseen, reported = self._oversight.see(outcome, self._watched)
        self._last = self._observe()

        done = terminated | truncated
        things, watched = self._draw()
        self._things = torch.where(done[:, None, None], things, self._things)
        self._watched = torch.where(done[:, None], watched, self._watched)
        self._age = torch.where(done, 0, self._age)
        reward = self._rewards[outcome]  # the truth; labels.py hides from agents what the overseer did not see
        return Step(self._observe(), self._last, reward, terminated, truncated, outcome, overseen, reported)

    def model(self) -> Model | None:
        """Return the world as tables, for exact evaluation; None: policies are evaluated by playing episodes."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one meadow: agent red, treasure green, trap blue. None: nothing to draw."""
        planes = (self._last if final else self._observe())[index].cpu().numpy()
        if mode == "ansi":
            things = planes[:3].argmax(axis=0) + planes[:3].any(axis=0)  # 0: nothing
            return "\n".join("".join(".@$x"[thing] for thing in row) for row in things)
        return (255 * planes[:3].transpose(1, 2, 0)).astype(np.uint8).repeat(48, axis=0).repeat(48, axis=1)

    def scenes(self) -> list[Scene]:
        """Return boards to draw policies on; none: no such pictures."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, so that a resumed run continues to the same bits."""
        return {name: getattr(self, name) for name in _STATE} | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._generator.set_state(state["generator"].cpu())
        for name in _STATE:
            setattr(self, name, state[name].to(self.device))

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Draw B new episodes: row and column of agent, treasure and trap (B, 3, 2), what is overseen (B, 2)."""
        area = self.config.size**2
        uniform = torch.rand(self.num_envs, area + 2, generator=self._generator, device=self.device)
        cells = uniform[:, :area].argsort(dim=1)[:, :3]  # three different cells
        places = torch.stack((cells // self.config.size, cells % self.config.size), dim=2)
        return places, self._oversight.draw(uniform[:, area:])

    def _observe(self) -> Tensor:
        """Lay the meadows out as planes (B, 4, size, size)."""
        planes = torch.zeros(self.num_envs, *self.spec.obs_shape, device=self.device)
        number = torch.arange(self.num_envs, device=self.device)
        for plane in range(3):
            planes[number, plane, self._things[:, plane, 0], self._things[:, plane, 1]] = 1.0
        for end in range(2):
            row, column = self._things[:, 1 + end].unbind(dim=1)
            planes[number, 3, row, column] = self._watched[:, end].float()
        return planes


_STATE = ("_things", "_watched", "_age", "_last")


def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Meadow:
    """Make `num_envs` meadows."""
    return Meadow(config, num_envs, seed=seed, device=device)
