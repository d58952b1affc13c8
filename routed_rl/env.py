"""What an environment must say: `VecEnv`, the `Step` it returns, its `EnvSpec` and, if it can, its `Model`.

An environment is B copies of one task, stepped together. It knows the truth (which outcome was
reached) and what the overseer saw of it; `labels.py` is what keeps the truth from the agent.

Outcomes are numbered: 0 is "nothing was reached (yet)", k + 1 is `spec.outcomes[k]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

NOTHING = 0
"""The outcome of a step that ended nowhere: the episode goes on, or it ran out of time."""


@dataclass(frozen=True)
class EnvSpec:
    """What every part of the program may know about an environment."""

    obs_shape: tuple[int, ...]
    """Shape of one observation: (C, H, W) planes or (D,) numbers."""
    num_actions: int
    """How many actions there are, an action being an integer below it; how many numbers a continuous action has."""
    outcomes: tuple[str, ...]
    """Names of the ends an episode can reach, K of them; outcome k + 1 is `outcomes[k]`."""
    target: str
    """The one good outcome."""
    outcome_rewards: tuple[float, ...]
    """The true reward for reaching each outcome, K numbers."""
    discount: float
    """Discount per step."""
    horizon: int
    """Steps after which an episode is truncated."""
    oversight_plane: int | None = None
    """The plane of the observation that shows what is overseen; None if nothing shows it."""
    continuous: bool = False
    """Whether an action is `num_actions` numbers, which the environment clips to -1..1, and not one integer."""
    image: bool = False
    """Whether the observation is a picture (C, H, W), to be seen by convolutions."""

    def __post_init__(self) -> None:
        if self.target not in self.outcomes:
            raise ValueError(f"target {self.target!r} is not among the outcomes {self.outcomes}: name one of them.")
        check_names(self.outcomes)
        if len(self.outcome_rewards) != len(self.outcomes):
            raise ValueError(f"{len(self.outcome_rewards)} rewards for {len(self.outcomes)} outcomes: give one each.")


def check_names(outcomes: Sequence[str]) -> None:
    """Raise ValueError unless these can be names of outcomes, of experts, and parts of a tag."""
    taken = ("mixture", "policy", "none", "all", "rest")
    for name in outcomes:
        if not name.isidentifier() or name in taken or hasattr(nn.ModuleDict, name):
            raise ValueError(f"outcome {name!r} cannot be called so: take another word of letters, digits and _.")


class Step(NamedTuple):
    """What B environments answer to B actions. Environments that ended have already been reset."""

    obs: Tensor  # (B, *obs_shape) what to act on next: the first frame of a new episode after an end
    final_obs: Tensor  # (B, *obs_shape) what the action led to: the last frame of an episode that ended
    reward: Tensor  # (B,) float, the truth
    terminated: Tensor  # (B,) bool, the episode reached an outcome
    truncated: Tensor  # (B,) bool, the episode ran out of time
    outcome: Tensor  # (B,) int64, the truth: 0 or k + 1
    overseen: Tensor  # (B,) bool, the overseer saw which outcome was reached
    reported: Tensor  # (B,) int64, what the overseer says it was; 0 where it saw nothing


@dataclass(frozen=True)
class Model:
    """A whole environment as tables over S states, so that any policy can be evaluated exactly."""

    next_state: Tensor  # (S, A) int64; of no meaning where the action ends the episode
    outcome: Tensor  # (S, A) int64, 0 where the episode goes on
    reward: Tensor  # (S, A) float
    start_weight: Tensor  # (S,) chance that an episode starts here, at the environment's oversight; sums to 1
    scene_weight: Tensor  # (S,) the same given which ends are overseen; sums to 1 over each condition
    watched: Tensor  # (S, K) bool, which ends are overseen: the oversight condition, fixed in an episode
    observe: Callable[[Tensor], Tensor]  # states (n,) -> observations (n, *obs_shape)
    references: Mapping[str, Tensor] = field(default_factory=dict)  # name -> (S, A), scripted policies to compare with


@dataclass(frozen=True)
class Scene:
    """A frozen board, for pictures of what a policy does on each of its cells."""

    title: str
    obs: Tensor  # (n, *obs_shape) what the agent would see on each cell
    cells: Tensor  # (n, 2) row and column of each
    moves: Tensor  # (A, 2) rows down and columns right of each action
    background: Any  # (rows * tile, columns * tile, 3) uint8, the board without the agent
    tile: int  # pixels along the side of a cell


class VecEnv(Protocol):
    """B environments in step, with same-step auto-reset and generators of their own."""

    spec: EnvSpec
    num_envs: int
    device: torch.device

    def reset(self) -> Tensor:
        """Start B new episodes and return their first observations (B, *obs_shape)."""
        ...

    def step(self, actions: Tensor) -> Step:
        """Take one action in each environment; an ended one starts anew in the same step.

        Args:
            actions: (B,) int64, or (B, num_actions) float if `spec.continuous`.
        """
        ...

    def model(self) -> Model | None:
        """Return the environment as tables, or None where there are too many states to list."""
        ...

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment, or with `final` what its last action led to before any reset.

        "rgb_array" gives (H, W, 3) uint8, "ansi" a string.
        """
        ...

    def scenes(self) -> list[Scene]:
        """Return a few boards to draw policies on; none if a picture would say nothing."""
        ...

    def state_dict(self) -> dict[str, Any] | None:
        """Return all that `load_state_dict` needs to continue to the same bits, or None if that cannot be."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        ...
