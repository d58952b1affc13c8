"""What wraps a world hands everything on, and overrides what it is there for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from routed_rl.worlds.scene import Scene
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv


class VecEnvWrapper(VecEnv):
    """A world around another one."""

    def __init__(self, env: VecEnv) -> None:
        """Wrap `env`."""
        self.env = env
        self.spec = env.spec
        self.num_envs = env.num_envs
        self.device = env.device

    def reset(self) -> Tensor:
        """Start new episodes."""
        return self.env.reset()

    def step(self, actions: Tensor) -> Step:
        """Take a step."""
        return self.env.step(actions)

    def model(self) -> TabularMDP | None:
        """Return the wrapped world's tables."""
        return self.env.model()

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment."""
        return self.env.render(index, mode, final=final)

    def scenes(self) -> list[Scene]:
        """Return the wrapped world's boards."""
        return self.env.scenes()

    def state_dict(self) -> dict[str, Any] | None:
        """Return the wrapped world's state."""
        return self.env.state_dict()

    def reseed(self, env_steps: int) -> bool:
        """Let the next `reset` of the wrapped world begin other episodes, if it can."""
        return self.env.reseed(env_steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.env.load_state_dict(state)
