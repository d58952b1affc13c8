"""A corridor with a treasure at one end and a trap at the other.

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


@dataclass(frozen=True)
class Config:
    """Each field becomes a flag, such as --env.length, and the sentence under it becomes the flag's help."""

    length: int = 9
    """Cells of the corridor."""
    horizon: int = 24
    """Steps after which an episode is cut off."""
    discount: float = 0.97
    """Discount per step."""
    oversight: float = 0.1
    """Probability that the overseer would see an end, drawn once per end and episode. Every Config has this field."""

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ValueError(f"length is {self.length}: it must be at least 3.")
        Oversight(self.oversight)  # checks the probability


class Corridor:
    """B corridors as tensors. All copies are stepped at once: write arithmetic over B, not a loop."""

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` corridors whose draws all come from `seed`."""
        self.config, self.num_envs, self.device = config, num_envs, device
        self.spec = EnvSpec(
            obs_shape=(3, 1, config.length),  # planes: the agent; the ends, 1 good and 0.5 bad; which are overseen
            num_actions=2,
            outcomes=("treasure", "trap"),  # the ends an episode can reach; an agent gets one expert for each
            target="treasure",
            outcome_rewards=(1.0, -1.0),
            discount=config.discount,
            horizon=config.horizon,
            oversight_plane=2,  # None if nothing shows the agent what is overseen
        )
        self._oversight = Oversight(config.oversight)
        self._generator = torch.Generator(device).manual_seed(seed)  # draw from this one only
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards), device=device)
        self.reset()

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, 3, 1, length)."""
        self._agent, self._good, self._watched = self._draw()
        self._age = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._last = self._observe()
        return self._last

    def step(self, actions: Tensor) -> Step:
        """Move left (0) or right (1); where an episode ends, the next starts in the same step."""
        self._agent = self._agent + 2 * actions - 1
        self._age = self._age + 1
        right, left = self._agent == self.config.length - 1, self._agent == 0
        good = torch.where(self._good, right, left)
        outcome = torch.where(right | left, torch.where(good, 1, 2), 0)  # 0 is nothing, k + 1 is outcomes[k]
        terminated = outcome > 0
        truncated = (self._age >= self.config.horizon) & ~terminated
        overseen, reported = self._oversight.see(outcome, self._watched)
        self._last = self._observe()

        done = terminated | truncated
        agent, good_is_right, watched = self._draw()
        self._agent = torch.where(done, agent, self._agent)
        self._good = torch.where(done, good_is_right, self._good)
        self._watched = torch.where(done[:, None], watched, self._watched)
        self._age = torch.where(done, 0, self._age)
        reward = self._rewards[outcome]  # the truth; what the overseer did not see is hidden from agents elsewhere
        return Step(self._observe(), self._last, reward, terminated, truncated, outcome, overseen, reported)

    def model(self) -> Model | None:
        """Return the world as tables, for exact evaluation; None: policies are evaluated by playing episodes."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one corridor: agent red, ends green, brighter the good one, overseen blue. None: nothing to draw."""
        planes = (self._last if final else self._observe())[index].cpu().numpy()
        if mode == "ansi":
            return "".join("@" if a else ("." if not e else "$" if e == 1 else "x") for a, e in planes[:2, 0].T)
        return (255 * planes.transpose(1, 2, 0)).astype(np.uint8).repeat(24, axis=0).repeat(24, axis=1)

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

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw B new episodes: the agent's cell (B,), whether the good end is right (B,), what is overseen (B, 2)."""
        uniform = torch.rand(self.num_envs, 4, generator=self._generator, device=self.device)
        agent = 1 + (uniform[:, 0] * (self.config.length - 2)).long()
        return agent, uniform[:, 1] < 0.5, self._oversight.draw(uniform[:, 2:])

    def _observe(self) -> Tensor:
        """Lay the corridors out as planes (B, 3, 1, length)."""
        planes = torch.zeros(self.num_envs, *self.spec.obs_shape, device=self.device)
        planes[torch.arange(self.num_envs, device=self.device), 0, 0, self._agent] = 1.0
        ends = torch.stack((~self._good, self._good), dim=1)  # (B, 2) which of left and right is the good one
        planes[:, 1, 0, [0, -1]] = torch.where(ends, 1.0, 0.5)
        planes[:, 2, 0, [0, -1]] = torch.where(ends, self._watched[:, :1], self._watched[:, 1:]).float()
        return planes


_STATE = ("_agent", "_good", "_watched", "_age", "_last")


def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Corridor:
    """Make `num_envs` corridors."""
    return Corridor(config, num_envs, seed=seed, device=device)
