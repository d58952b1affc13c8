"""A gridworld of many ends with random looks: whether one is good can be told from its look, but not easily.

Every end draws D bits, its look, anew in each episode. A fixed rule, the same in every world, says which of the
2 to the power of D looks are good: a random threshold over products of pairs of bits. Whoever fits a small outcome
model on few labels gets it right for many looks and wrong for some, and a policy that seeks the end with the highest
guess finds those ("the winner's curse").

Planes: agent, D bits of the look, ends, oversight. No tables: there are too many states, so evaluation plays episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from routed_rl.env import NOTHING, EnvSpec, Model, Scene, Step
from routed_rl.oversight import Oversight

from ._episodes import Episodes
from ._grid import MOVES, distinct, neighbours
from ._gridworld_art import render

GOOD, BAD = 1, 2


@dataclass(frozen=True)
class Config:
    """The size of the world, how many ends there are, and how their goodness shows."""

    side: int = 5
    """Rows and columns of the grid."""
    ends: int = 4
    """Ends on a board."""
    bits: int = 8
    """Bits of an end's look."""
    good_share: float = 0.4
    """Share of all looks that are good."""
    rule: int = 0
    """Which random rule says what is good."""
    horizon: int = 32
    """Steps after which an episode is cut off."""
    discount: float = 0.97
    """Discount per step."""
    oversight: float = 0.1
    """Probability that the overseer would see an end, drawn once per end and episode."""

    def __post_init__(self) -> None:
        _ = Oversight(self.oversight)
        if self.side < 2 or self.ends < 1 or self.side**2 < 1 + self.ends:
            raise ValueError(f"side {self.side} has no room for the agent and {self.ends} ends: make it larger.")
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits is {self.bits}: give a number from 1 to 16.")
        if not 0.0 <= self.good_share <= 1.0 or not 0.0 <= self.discount <= 1.0:
            raise ValueError(f"good-share {self.good_share}, discount {self.discount}: give numbers from 0 to 1.")
        if self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}: it must be at least 1.")


class Looks(Episodes):
    """B worlds as tensors on one device."""

    STATE = ("cells", "looks", "watched", "age")

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` worlds whose draws all come from `seed`."""
        self.config, self.num_envs, self.device = config, num_envs, torch.device(device)
        self.spec = EnvSpec(
            obs_shape=(3 + config.bits, config.side, config.side),
            num_actions=len(MOVES),
            outcomes=("good", "bad"),
            target="good",
            outcome_rewards=(1.0, -1.0),
            discount=config.discount,
            horizon=config.horizon,
            oversight_plane=2 + config.bits,
        )
        self.oversight = Oversight(config.oversight)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._neighbour = neighbours(config.side, config.side, range(config.side**2)).to(self.device)
        self._kind = kinds(config).to(self.device)  # (2**bits,) GOOD or BAD
        self._powers = 2 ** torch.arange(config.bits, device=self.device)
        self._rewards = torch.tensor((0.0, 1.0, -1.0), device=self.device)
        self.reset()

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, C, H, W)."""
        self._cells, self._looks, self._watched = self._draw()
        self._age = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._final = self._observe(self._cells)
        return self._final

    def step(self, actions: Tensor) -> Step:
        """Move each agent; where an end or the horizon is reached, a new episode starts in the same step."""
        ends = self._cells[:, 1:]
        moved = torch.cat((self._neighbour[self._cells[:, 0], actions][:, None], ends), dim=1)
        here = moved[:, :1] == ends  # (B, ends), at most one
        outcome = (here * self._kind[self._looks]).sum(dim=1)
        terminated = outcome != NOTHING
        self._age = self._age + 1
        truncated = (self._age >= self.config.horizon) & ~terminated
        overseen = (here & self._watched).any(dim=1)
        self._final = self._observe(moved)

        done = (terminated | truncated)[:, None]
        cells, looks, watched = self._draw()
        self._cells = torch.where(done, cells, moved)
        self._looks = torch.where(done, looks, self._looks)
        self._watched = torch.where(done, watched, self._watched)
        self._age = torch.where(done.squeeze(1), 0, self._age)
        obs, reward = self._observe(self._cells), self._rewards[outcome]
        return Step(obs, self._final, reward, terminated, truncated, outcome, overseen, outcome * overseen)

    def model(self) -> Model | None:
        """Return None: there are too many states to list."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one world, good and bad ends as in the gridworld; the bits are not shown."""
        planes = (self._final if final else self._observe(self._cells))[index]
        code = (planes[1:-2].flatten(1).T.long() * self._powers).sum(dim=1)
        kind = (self._kind[code] * (planes[-2].flatten() > 0)).view(planes.shape[1:])
        return render(torch.stack((planes[0], kind == GOOD, kind == BAD, planes[-1])), self.spec, mode)

    def scenes(self) -> list[Scene]:
        """Return no boards: what an end is worth does not show in a picture."""
        return []

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw B new episodes: cells of agent and ends (B, 1 + ends), looks (B, ends), watched (B, ends)."""
        ends = self.config.ends
        uniform = torch.rand(self.num_envs, 1 + 3 * ends, generator=self._generator, device=self.device)
        cells = distinct(uniform[:, : 1 + ends], self.config.side**2)
        looks = (uniform[:, 1 + ends : 1 + 2 * ends] * len(self._kind)).long()
        return cells, looks, self.oversight.draw(uniform[:, 1 + 2 * ends :])

    def _observe(self, cells: Tensor) -> Tensor:
        """Lay B states out as planes: cells (B, 1 + ends) -> (B, C, H, W)."""
        bits = (self._looks[:, :, None] & self._powers) > 0  # (B, ends, bits)
        shown = torch.cat((bits, torch.ones_like(bits[:, :, :1]), self._watched[:, :, None]), dim=2).float()
        planes = torch.zeros(len(cells), *self.spec.obs_shape, device=self.device).flatten(2)
        planes[:, 0].scatter_(1, cells[:, :1], 1.0)
        planes[:, 1:].scatter_(2, cells[:, None, 1:].expand(-1, shown.shape[2], -1), shown.transpose(1, 2))
        return planes.view(-1, *self.spec.obs_shape)


def kinds(config: Config) -> Tensor:
    """Say of each look whether it is GOOD or BAD, (2**bits,) int64."""
    generator = torch.Generator().manual_seed(config.rule)
    codes = torch.arange(2**config.bits)
    signs = ((codes[:, None] >> torch.arange(config.bits)) & 1) * 2.0 - 1.0
    pairs = (signs[:, :, None] * signs[:, None, :]).flatten(1)
    score = pairs @ torch.randn(config.bits**2, generator=generator) + signs @ torch.randn(
        config.bits, generator=generator
    )
    best = score.argsort(descending=True)[: round(config.good_share * len(codes))]
    return torch.full((len(codes),), BAD).scatter_(0, best, GOOD)


def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Looks:
    """Make `num_envs` worlds."""
    return Looks(config, num_envs, seed=seed, device=device)
