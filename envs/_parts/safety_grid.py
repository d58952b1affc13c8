"""What the worlds after "AI Safety Gridworlds" share (Leike et al., arXiv 1711.09883).

In each the world pays something that is not quite what is wanted. The authors measure what is
wanted by a hidden performance: it is the sum of `true_reward` over an episode, undiscounted. One
draw an episode decides whether the overseer looks, and then it looks at every step.

As in the released code, moves are up, down, left and right, and an episode has at most 100 steps.
Observations are layers of marks, where the authors give one layer of codes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from routed_rl.worlds.config import check_episodes
from routed_rl.worlds.episode_oversight import EpisodeOversight, OversightConfig
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step

from .board import AGENT, Board, draw
from .episodes import Episodes
from .grid import MOVES

STEP_REWARD = -1.0
"""What a step costs, in all these worlds but one."""


@dataclass(frozen=True)
class SafetyConfig(OversightConfig):
    """How long an episode lasts, and how much is overseen."""

    horizon: int = 100
    """Steps after which an episode is cut off."""
    discount: float = 0.99
    """Discount per step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_episodes(self.horizon, self.discount)


ConfigT = TypeVar("ConfigT", bound=SafetyConfig)
"""The settings of one of these worlds."""


class Deeds(NamedTuple):
    """What B moves did."""

    reward: Tensor  # (B,) float, what is paid
    true_reward: Tensor  # (B,) float, what is wanted
    outcome: Tensor  # (B,) int64, 0 or k + 1
    terminated: Tensor  # (B,) bool


class SafetyGrid(Episodes, Generic[ConfigT]):
    """B boards as tensors on one device. A subclass says what moves do, and what is seen."""

    DRAWING: ClassVar[str]
    """The board in letters."""
    OUTCOMES: ClassVar[tuple[str, ...]]
    """What can happen, the good outcome first."""
    WORTH: ClassVar[tuple[float, ...]]
    """What each outcome is truly worth, beside what is paid."""
    CHANNELS: ClassVar[int]
    """Channels without that of oversight, which comes last; channel 0 is the agent's."""
    LAYERS: ClassVar[str] = ""
    """Letters of the channels behind the agent's, in order, as far as what they mark can change."""

    def __init__(self, config: ConfigT, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Make `num_envs` boards whose draws all come from `seed`."""
        super().__init__(num_envs, seed=seed, device=device)
        self.config = config
        self.board = Board(self.DRAWING, self.device)
        self.spec = EnvSpec(
            obs_shape=(self.CHANNELS + config.show_oversight, self.board.rows, self.board.columns),
            num_actions=len(MOVES),
            outcomes=self.OUTCOMES,
            target=self.OUTCOMES[0],
            outcome_rewards=self.WORTH,
            discount=config.discount,
            horizon=config.horizon,
            oversight_channel=self.CHANNELS if config.show_oversight else None,
        )
        # It draws from the generator of the world, whose state is saved.
        self._oversight = EpisodeOversight(
            config.overseer, num_envs, len(self.OUTCOMES), self._generator, every_step=True
        )

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, C, H, W)."""
        everywhere = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self._age = self._zero_ages()
        self._restart(everywhere)
        self._final = self._observe()
        return self._final

    def step(self, actions: Tensor) -> Step:
        """Move each agent; where an episode ends, the next one starts.

        Args:
            actions: (B,) int64, by the order of `MOVES`.
        """
        deeds = self._move(actions)
        self._age = self._age + 1
        truncated = (self._age >= self.config.horizon) & ~deeds.terminated
        overseen, reported = self._oversight.see(deeds.outcome)
        self._final = self._observe()
        self._restart(deeds.terminated | truncated)
        return Step(
            obs=self._observe(),
            final_obs=self._final,
            reward=deeds.reward,
            true_reward=deeds.true_reward,
            terminated=deeds.terminated,
            truncated=truncated,
            outcome=deeds.outcome,
            overseen=overseen,
            reported=reported,
        )

    @abstractmethod
    def _move(self, actions: Tensor) -> Deeds:
        """Move each agent by one action, (B,)."""

    @abstractmethod
    def _begin(self, done: Tensor) -> None:
        """Put everything where it is at the start, where an episode is done, (B,) bool."""

    @abstractmethod
    def _frames(self) -> Tensor:
        """Lay out where everything is, without the oversight, (B, CHANNELS, H, W)."""

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one board, or with `final` what its last move led to.

        Returns:
            (H, W, 3) uint8 for "rgb_array", a string for "ansi".
        """
        frame = (self._final if final else self._observe())[index].cpu()
        overseen = self.config.show_oversight and bool(frame[-1].any())
        return draw(self._lines(frame), mode, overseen=overseen)

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes, which of them are overseen, and the generator's state."""
        return super().state_dict() | {"overseen": self._oversight.overseen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the episodes of a `state_dict`."""
        super().load_state_dict(state)
        self._oversight.overseen = state["overseen"].to(self.device)

    def _lines(self, frame: Tensor) -> list[str]:
        """Write one observation (C, H, W) in letters, a string a row; the agent comes last."""
        letters = list(self.board.letters)
        for letter, marks in (*zip(self.LAYERS, frame[1:], strict=False), (AGENT, frame[0])):
            for cell in marks.flatten().nonzero().flatten().tolist():
                letters[cell] = letter
        width = self.board.columns
        return ["".join(letters[i : i + width]) for i in range(0, len(letters), width)]

    def _observe(self) -> Tensor:
        """Return what is seen: the board, and whether the episode is overseen if that is shown."""
        frames = self._frames()
        return self._oversight.show(frames) if self.config.show_oversight else frames

    def _restart(self, done: Tensor) -> None:
        """Begin a new episode where one is done, (B,) bool."""
        self._begin(done)
        self._oversight.renew(done)
        self._age = torch.where(done, 0, self._age)
