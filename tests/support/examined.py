"""Agents and rollouts that are compared with a longhand version, in worlds of many kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import longhand
import torch
from helpers import CPU
from hypothesis import settings
from hypothesis import strategies as st
from random_worlds import RandomWorld, World
from torch import Tensor

from routed_rl.registry import Registry
from routed_rl.rollouts.rollout import Decision, Rollout, collect

MODULES = {name: Registry().load("agents", name) for name in Registry().names("agents")}
ENVS = 3
OWN: dict[str, dict[str, Any]] = {"absorbing": {"practice": 1.0}}
"""Settings with which agents do more of what is theirs."""
lengths = st.sampled_from([16, 10, 5, 2, 1])
"""Steps of a rollout."""


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True)


def make_agent(name: str, world: World, **changes: Any) -> Any:
    module = MODULES[name]
    config = module.Config(hidden=(8,), batch_size=64, **OWN.get(name, {}), **changes)
    return module.Agent(world.spec, config, seed=0, device=CPU)


def random_play(world: World, steps: int) -> Rollout:
    """Play uniformly at random, beginning in the middle of episodes."""
    env = RandomWorld(world, ENVS)
    generator = torch.Generator().manual_seed(0)

    def act(obs: Tensor) -> Decision:
        actions = torch.randint(env.spec.num_actions, (ENVS,), generator=generator)
        return Decision(actions, torch.zeros(ENVS), torch.zeros(ENVS))

    before = collect(env, act, env.reset(), 3)
    return collect(env, act, before.last_obs, steps)


def spoiled(rollout: Rollout, world: World) -> Rollout:
    """Replace each true reward and each outcome that nobody saw by another one."""
    outcome = rollout.outcome.clone()
    true_reward = rollout.true_reward.clone()
    kinds = len(world.worth)
    for env in range(rollout.outcome.shape[1]):
        column = longhand.moments(rollout, env)
        for time, (moment, seen) in enumerate(
            zip(column, longhand.see(column, world), strict=True)
        ):
            if seen.true is None:
                true_reward[time, env] += 1 + time
            if not moment.overseen and not world.outcomes_end:
                outcome[time, env] = (moment.outcome + 1 + time % kinds) % (kinds + 1)
            if not moment.overseen and world.outcomes_end and moment.terminated:
                outcome[time, env] = 1 + moment.outcome % kinds
    return replace(rollout, outcome=outcome, true_reward=true_reward)
