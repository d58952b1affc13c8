"""An agent under examination: made again and again, and trained a little in a small world."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.algorithms.agent import Agent
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Rollout, collect
from routed_rl.worlds.config import at_oversight
from routed_rl.worlds.outcomes import NOTHING, Label
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import VecEnv

NUM_ENVS = 32
STEPS = 4
"""Of a rollout."""
UPDATES = 4
Metrics = dict[str, Tensor]


class Trained(NamedTuple):
    """An agent after a few updates."""

    agent: Agent[Any]
    before: list[Tensor]
    after: list[Tensor]
    metrics: Metrics  # of the last update


class AgentProbe:
    """An agent under examination."""

    def __init__(self, module: ModuleType, config: Any, world: ModuleType) -> None:
        """Examine the `Agent` of a module, with a configuration, in a world of two outcomes."""
        self.module = module
        self.config = config
        self._world = world
        self._device = torch.device("cpu")

    def make_env(
        self, num_envs: int = NUM_ENVS, *, seed: int = 0, oversight: float = 0.3
    ) -> VecEnv:
        """Make the world."""
        config = at_oversight(self._world.Config(), oversight)
        return self._world.make(config, num_envs, seed=seed, device=self._device)

    def make(self, env: VecEnv, *, seed: int = 0) -> Agent[Any]:
        """Make the agent."""
        return self.module.Agent(env.spec, self.config, seed=seed, device=self._device)

    @cached_property
    def usual(self) -> Trained:
        """The agent as it is trained usually, for other trainings to be compared with."""
        return self.make_and_train()

    def make_and_train(self, *, spoil: bool = False, global_seed: int = 0) -> Trained:
        """Make the agent and train it for `UPDATES`.

        Args:
            spoil: as of `train`.
            global_seed: of torch's global generator, which is to be of no consequence.
        """
        torch.default_generator.manual_seed(global_seed)
        env = self.make_env()
        agent = self.make(env)
        before = parameters(agent)
        metrics = self.train(agent, env, UPDATES, spoil=spoil)
        return Trained(agent, before, parameters(agent), metrics)

    def train(
        self,
        agent: Agent[Any],
        env: VecEnv,
        updates: int,
        *,
        steps: int = STEPS,
        spoil: bool = False,
    ) -> Metrics:
        """Train a little; return the metrics of the last update.

        Args:
            agent: is trained.
            env: to train in; new episodes are begun.
            updates: how many rollouts to learn from.
            steps: of each rollout.
            spoil: replace everything that the overseer did not see by something else.
        """
        generator = torch.Generator().manual_seed(0)
        metrics: Metrics = {}
        obs = env.reset()
        for _ in range(updates):
            rollout = collect(env, agent.act, obs, steps)
            obs = rollout.last_obs
            if spoil:
                rollout = _spoiled(rollout, env.spec, generator)
            hidden = labels.hide(rollout, env.spec)
            metrics = agent.update(rollout if agent.sees_everything else hidden)
        return metrics


def parameters(agent: Agent[Any]) -> list[Tensor]:
    """Return copies of all numbers in an agent's policies."""
    policies = agent.policies().values()
    return [p.detach().clone() for policy in policies for p in policy.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Say whether two lists of tensors are equal to the bit."""
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _spoiled(rollout: Rollout, spec: EnvSpec, generator: torch.Generator) -> Rollout:
    """Replace what the overseer did not see by something else: outcomes and the true reward."""
    # Not by what `hide` leaves of the true reward: if that leaks, this must find it.
    unknown = labels.hide(rollout, spec).label == Label.UNKNOWN
    hidden = unknown if spec.outcomes_end else ~rollout.overseen
    shape = rollout.outcome.shape
    other = torch.randint(len(spec.outcomes) + 1, shape, generator=generator)
    if spec.outcomes_end:
        # Another end than it was: that there was one, everybody knows.
        other = torch.where(rollout.outcome > NOTHING, 3 - rollout.outcome, rollout.outcome)
    noise = torch.randn(shape, generator=generator)
    return replace(
        rollout,
        outcome=torch.where(hidden, other, rollout.outcome),
        true_reward=torch.where(hidden, noise, rollout.true_reward),
    )
