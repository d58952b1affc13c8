"""How long learning takes: training until the deployed policy's exact return reaches a goal.

Ours learns from partial oversight. Its peers have the same world and the true reward: PPO of
Stable-Baselines3, of SBX (the same in JAX), of torchrl, and one in JAX whose world is in JAX too.
Evaluation is counted in none, nor is JAX's compiling where it can be told apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.algorithms.agent import Agent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.envs import gridworld
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, collect
from routed_rl.training.setup import Setup
from routed_rl.utils import machine
from routed_rl.worlds.vec_env import VecEnv


class Reached(NamedTuple):
    """What it took to reach a goal."""

    steps: int
    seconds: float | None
    """None if the goal was not reached."""
    best: float
    """The highest return there was."""
    compiling: float | None = None
    """Seconds of compiling, which are not in the others."""

    def __str__(self) -> str:
        """Say it in a line."""
        if self.seconds is None:
            return f"not reached in {self.steps:,} steps (best {self.best:.2f})"
        more = "" if self.compiling is None else f" and {self.compiling:.1f} s of compiling"
        return f"{self.steps:>9,} steps, {self.seconds:6.2f} s{more}"


def ours(setup: Setup, goal: float, limit: int) -> Reached:
    """Train what `setup` says until the goal, or for `limit` steps, with as many threads."""
    settings = setup.config.settings
    env = setup.make_env(settings.num_envs, seed=settings.seed)
    agent = setup.make_agent(env)
    machine.keep_memory()
    with machine.few_threads_for(agent.policies()[agent.acting]):
        return _ours(setup, env, agent, goal, limit)


def _ours(setup: Setup, env: VecEnv, agent: Agent[Any], goal: float, limit: int) -> Reached:
    """Train an agent."""
    rollout_steps = agent.rollout_steps
    evaluator = setup.make_evaluator()
    obs = env.reset()
    frames = Frames.like(obs, rollout_steps)
    seconds = 0.0
    steps = 0
    best = -1.0
    while steps < limit:
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, rollout_steps, frames)
        if agent.sees_everything:
            agent.update(rollout)
        else:
            agent.update(labels.hide(rollout, env.spec))
        seconds += time.perf_counter() - began
        obs = rollout.last_obs
        steps += rollout_steps * env.num_envs
        deployed = {agent.deployed: agent.policies()[agent.deployed]}
        best = max(best, evaluator.returns(deployed)[agent.deployed].true_return)
        if best >= goal:
            return Reached(steps, seconds, best)
    return Reached(steps, None, best)


def seconds(times: Sequence[Reached]) -> float:
    """Return the median of times, infinite where most runs did not reach the goal."""
    return median(times).seconds or math.inf


def median(times: Sequence[Reached]) -> Reached:
    """Return the run in the middle, of two the faster one."""
    return sorted(times, key=lambda one: one.seconds or math.inf)[(len(times) - 1) // 2]


class Settings(NamedTuple):
    """Of PPO, named as in Stable-Baselines3; what is not here is its default."""

    num_envs: int
    n_steps: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    hidden: tuple[int, ...]
    ent_coef: float

    @classmethod
    def of(cls, setup: Setup) -> Settings:
        """Take those of ours, with every learner's entropy."""
        agent = setup.config.agent
        return cls(
            setup.config.settings.num_envs,
            agent.rollout_steps,
            agent.batch_size,
            agent.n_epochs,
            agent.learning_rate,
            agent.hidden,
            LearnerConfig.ent_coef,
        )


Peer = Callable[[Settings, float, int, int], Reached]
"""(settings, goal, limit of steps, seed) -> what it took."""


def stable_baselines3(settings: Settings | None, goal: float, limit: int, seed: int) -> Reached:
    """Train PPO with the true reward; by its defaults unless settings are given."""
    from stable_baselines3 import PPO

    given = {} if settings is None else _for_sb3(settings, nn.ReLU)
    given |= {"device": "cpu", "seed": seed}
    return _sb3(PPO, given, 8 if settings is None else settings.num_envs, goal, limit)


def sbx(settings: Settings, goal: float, limit: int, seed: int) -> Reached:
    """Train SBX's PPO; its compiling is a part of its first update."""
    from flax import linen
    from sbx import PPO

    given = _for_sb3(settings, linen.relu) | {"seed": seed}
    return _sb3(PPO, given, settings.num_envs, goal, limit)


def torchrl(settings: Settings, goal: float, limit: int, seed: int) -> Reached:
    """Train torchrl's PPO."""
    import peer_torchrl

    exact, frames = _exact()
    own = settings._asdict() | {"seed": seed}
    env = _world(own.pop("num_envs"), seed)
    steps, seconds, best = peer_torchrl.run(
        env, exact.mean_return, frames.flatten(1), goal, limit, **own
    )
    return Reached(steps, seconds if best >= goal else None, best)


def jax(settings: Settings, goal: float, limit: int, seed: int) -> Reached:
    """Train a PPO that is one compiled loop, its world within; without the time of compiling."""
    import peer_jax

    exact, frames = _exact()
    steps, seconds, best, compiling = peer_jax.run(
        settings,
        lambda probabilities: exact.mean_return(torch.tensor(probabilities)),
        frames.flatten(1).numpy(),
        goal,
        limit,
        seed,
    )
    return Reached(steps, seconds if best >= goal else None, best, compiling)


PEERS: dict[str, tuple[str, Peer]] = {
    "SB3 PPO": ("stable_baselines3", stable_baselines3),
    "SBX PPO": ("sbx", sbx),
    "torchrl PPO": ("torchrl", torchrl),
    "JAX PPO, compiled": ("optax", jax),
}
"""Name -> the package that it needs, and how it learns."""


def _for_sb3(settings: Settings, activation: Any) -> dict[str, Any]:
    """Name settings as Stable-Baselines3 takes them."""
    given = settings._asdict()
    del given["num_envs"]
    network = {"net_arch": list(given.pop("hidden")), "activation_fn": activation}
    return given | {"policy_kwargs": network}


def _sb3(library: Any, settings: dict[str, Any], num_envs: int, goal: float, limit: int) -> Reached:
    """Train a PPO that has the interface of Stable-Baselines3."""
    from peer_sb3 import UntilGoal

    from routed_rl.sb3.vec_env import RoutedVecEnv

    env = _world(num_envs, settings["seed"])
    exact, frames = _exact()
    callback = UntilGoal(goal, exact.mean_return, frames)
    own = {"gamma": env.spec.discount} | settings
    model = library("MlpPolicy", RoutedVecEnv(env, true_reward=True), **own)
    model.learn(limit, callback=callback)
    seconds = callback.seconds if callback.best >= goal else None
    return Reached(model.num_timesteps, seconds, callback.best)


def _exact() -> tuple[ExactEvaluator, Tensor]:
    """Return what evaluates action probabilities exactly, and what is seen in each state."""
    env = _world(1, seed=0)
    tables = env.model()
    assert tables is not None
    exact = ExactEvaluator(tables, horizon=env.spec.horizon, discount=env.spec.discount)
    return exact, tables.observe(torch.arange(len(tables.start_probability)))


def _world(num_envs: int, seed: int) -> VecEnv:
    """Make the paper's gridworld."""
    return gridworld.make(gridworld.Config(), num_envs, seed=seed, device=torch.device("cpu"))
