"""An environment under other values: which of its outcomes are good is for a deployment to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from routed_rl.env import Model, Scene, Step, VecEnv


class Revalued:
    """An environment in which some outcomes are worth 1 and all others -1; nothing else changes."""

    def __init__(self, env: VecEnv, good: Sequence[str]) -> None:
        """Wrap `env`.

        Raises:
            ValueError: if an outcome in `good` is none of the environment's, or there is none.
        """
        spec = env.spec
        unknown = [name for name in good if name not in spec.outcomes]
        if unknown or not good:
            wrong = f"{unknown[0]!r} is none of the outcomes" if unknown else "no outcome is good:"
            raise ValueError(f"{wrong} {', '.join(spec.outcomes)}: name one or more of them.")
        rewards = tuple(1.0 if name in good else -1.0 for name in spec.outcomes)
        target = spec.target if spec.target in good else next(name for name in spec.outcomes if name in good)
        self.spec = replace(spec, outcome_rewards=rewards, target=target)
        self.num_envs, self.device = env.num_envs, env.device
        self._env, self._rewards = env, torch.tensor((0.0, *rewards), device=env.device)

    def reset(self) -> Tensor:
        """Start new episodes."""
        return self._env.reset()

    def step(self, actions: Tensor) -> Step:
        """Step, and value what was reached."""
        step = self._env.step(actions)
        return step._replace(reward=torch.where(step.terminated, self._rewards[step.outcome], step.reward))

    def model(self) -> Model | None:
        """Return the tables with other rewards."""
        model = self._env.model()
        return None if model is None else replace(model, reward=self._rewards[model.outcome])

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment."""
        return self._env.render(index, mode, final=final)

    def scenes(self) -> list[Scene]:
        """Return the environment's boards."""
        return self._env.scenes()

    def state_dict(self) -> dict[str, Any] | None:
        """Return the environment's state."""
        return self._env.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._env.load_state_dict(state)
