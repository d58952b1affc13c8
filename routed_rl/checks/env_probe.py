"""A world under examination: made again and again, and played at random."""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.rollouts.rollout import Decision, Rollout, collect
from routed_rl.worlds.config import at_oversight, without_budget
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import VecEnv

NUM_ENVS = 16
MOST_STEPS = 512
"""Of each environment: two horizons are played, unless that takes longer."""


class EnvProbe:
    """A world under examination."""

    def __init__(self, module: ModuleType, config: Any, device: torch.device) -> None:
        """Examine what the `make` of a module makes of a configuration."""
        self.config = config
        self._module = module
        self._device = device

    def make(self, num_envs: int = NUM_ENVS, *, seed: int = 0, oversight: float = 0.5) -> VecEnv:
        """Make the world."""
        # A budget of labels ties all environments together, as it should: it is left out.
        config = without_budget(at_oversight(self.config, oversight))
        env = self._module.make(config, num_envs, seed=seed, device=self._device)
        return CheckedWorld(env, self._module.__name__.split(".")[-1])

    def play(self, env: VecEnv, steps: int | None = None) -> Rollout:
        """Play at random from new episodes; of as many environments, always the same actions."""
        generator = torch.Generator().manual_seed(1)

        def act(_obs: Tensor) -> Decision:
            return draw_actions(env, generator)

        return collect(env, act, env.reset(), steps or self.steps)

    @cached_property
    def spec(self) -> EnvSpec:
        """What the world says of itself."""
        return self.make().spec

    @property
    def steps(self) -> int:
        """How many steps to play."""
        return min(2 * self.spec.horizon + 1, MOST_STEPS)

    @cached_property
    def rollout(self) -> Rollout:
        """Random play from new episodes."""
        return self.play(self.make())

    @cached_property
    def age(self) -> Tensor:
        """(T, B) the number of each step of `rollout` in its episode, from 1."""
        return ages(self.rollout.done)


def draw_actions(env: VecEnv, generator: torch.Generator) -> Decision:
    """Draw actions uniformly."""
    spec = env.spec
    shape = (env.num_envs, *spec.action_shape)
    if spec.continuous:
        action = 2 * torch.rand(shape, generator=generator) - 1
    elif spec.action_sizes:
        columns = [torch.randint(n, shape[:1], generator=generator) for n in spec.action_sizes]
        action = torch.stack(columns, dim=1)
    else:
        action = torch.randint(spec.num_actions, shape, generator=generator)
    zero = torch.zeros(env.num_envs, device=env.device)
    return Decision(action.to(env.device), zero, zero)


def ages(done: Tensor) -> Tensor:
    """Count the steps of each episode, (T, B) from 1, in a play that starts with new episodes."""
    age = torch.zeros_like(done[0], dtype=torch.int64)
    counted = []
    for ended in done:
        counted.append(age + 1)
        age = torch.where(ended, 0, age + 1)
    return torch.stack(counted)
