"""How long learning takes: training until the deployed policy's exact return reaches a goal.

Ours learns from partial oversight. Stable-Baselines3's PPO has its own MLP policy, the same world
and the true reward. It is run with its own defaults and with our settings, where both have them.
Evaluation is counted in neither.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.envs import gridworld
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, collect
from routed_rl.sb3.vec_env import RoutedVecEnv
from routed_rl.training.setup import Setup
from routed_rl.worlds.vec_env import VecEnv


class Reached(NamedTuple):
    """What it took to reach a goal."""

    steps: int
    seconds: float | None
    """None if the goal was not reached."""
    best: float
    """The highest return there was."""

    def __str__(self) -> str:
        """Say it in a line."""
        if self.seconds is None:
            return f"not reached in {self.steps:,} steps (best {self.best:.2f})"
        return f"{self.steps:>9,} steps, {self.seconds:6.1f} s"


def ours(setup: Setup, goal: float, limit: int) -> Reached:
    """Train what `setup` says until the goal, or for `limit` steps."""
    settings = setup.config.settings
    rollout_steps = setup.config.agent.rollout_steps
    env = setup.make_env(settings.num_envs, seed=settings.seed)
    agent = setup.make_agent(env)
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


def stable_baselines3(
    num_envs: int, goal: float, limit: int, *, seed: int = 0, **settings: Any
) -> Reached:
    """Train PPO with the true reward until the goal, or for `limit` steps."""
    env = _world(num_envs, seed)
    callback = _UntilGoal(goal)
    settings = {"gamma": env.spec.discount, "seed": seed, "device": "cpu"} | settings
    model = PPO("MlpPolicy", RoutedVecEnv(env, true_reward=True), **settings)
    model.learn(limit, callback=callback)
    seconds = callback.seconds if callback.best >= goal else None
    return Reached(model.num_timesteps, seconds, callback.best)


def settings_for_sb3(setup: Setup) -> dict[str, Any]:
    """Return the settings that Stable-Baselines3's PPO has too, with every learner's entropy."""
    agent = setup.config.agent
    return {
        "num_envs": setup.config.settings.num_envs,
        "n_steps": agent.rollout_steps,
        "batch_size": agent.batch_size,
        "n_epochs": agent.n_epochs,
        "ent_coef": LearnerConfig.ent_coef,
        "learning_rate": agent.learning_rate,
        "policy_kwargs": {"net_arch": list(agent.hidden), "activation_fn": nn.ReLU},
    }


class _UntilGoal(BaseCallback):
    """Evaluates before each rollout, exactly, and stops at the goal; keeps the time of the rest."""

    def __init__(self, goal: float) -> None:
        super().__init__()
        self.goal = goal
        self.best = -1.0
        self.seconds = 0.0
        env = _world(1, seed=0)
        tables = env.model()
        assert tables is not None
        self._exact = ExactEvaluator(tables, horizon=env.spec.horizon, discount=env.spec.discount)
        self._frames = tables.observe(torch.arange(len(tables.start_probability)))

    def _on_training_start(self) -> None:
        self._began = time.perf_counter()

    def _on_rollout_start(self) -> None:
        self.seconds += time.perf_counter() - self._began
        self.best = max(self.best, self._exact.mean_return(self._probabilities()))
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        return self.best < self.goal

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        """Return the policy's action probabilities in every state, (S, A)."""
        policy: Any = self.model.policy
        parts = self._frames.split(8192)
        return torch.cat([policy.get_distribution(part).distribution.probs for part in parts])


def _world(num_envs: int, seed: int) -> VecEnv:
    """Make the paper's gridworld."""
    return gridworld.make(gridworld.Config(), num_envs, seed=seed, device=torch.device("cpu"))
