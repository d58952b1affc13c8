"""How long learning takes: seconds of training until the deployed policy's exact return reaches a goal.

Ours learns from partial oversight. Stable-Baselines3's PPO, with its own MLP policy and on the same environment, is
given the true reward, and for what both have its own defaults or our settings. Evaluation is not counted in either.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from routed_rl import assembly, labels
from routed_rl.exact import ExactEvaluator
from routed_rl.learner import LearnerConfig
from routed_rl.rollout import Frames, collect
from routed_rl.sb3.vec_env import RoutedVecEnv


class Reached(NamedTuple):
    """What it took; `seconds` is None if the goal was not reached."""

    steps: int
    seconds: float | None
    best: float

    def __str__(self) -> str:
        """Say it in a line."""
        if self.seconds is None:
            return f"not reached in {self.steps:,} steps (best {self.best:.2f})"
        return f"{self.steps:>9,} steps, {self.seconds:6.1f} s"


def ours(flags: Sequence[str], goal: float, limit: int) -> Reached:
    """Train with the flags of train.py until the goal, or for `limit` steps."""
    run = assembly.build(flags)
    env = run.make_env(run.settings.num_envs, seed=run.settings.seed)
    agent, evaluator = run.make_agent(env), run.make_evaluator()
    obs, steps = env.reset(), run.settings.agent.rollout_steps
    frames = Frames.like(obs, steps)
    seconds, done, best = 0.0, 0, -1.0
    while done < limit:
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, steps, frames)
        agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec.outcome_rewards))
        seconds += time.perf_counter() - began
        obs, done = rollout.last_obs, done + steps * env.num_envs
        deployed = {agent.deployed: agent.policies()[agent.deployed]}
        best = max(best, evaluator.returns(deployed)[agent.deployed]["return"])
        if best >= goal:
            return Reached(done, seconds, best)
    return Reached(done, None, best)


def stable_baselines3(num_envs: int, goal: float, limit: int, *, seed: int = 0, **settings: Any) -> Reached:
    """Train PPO with the true reward until the goal, or for `limit` steps."""
    env = assembly.build([]).make_env(num_envs, seed=seed)
    callback = _UntilGoal(goal)
    settings = {"gamma": env.spec.discount, "seed": seed, "device": "cpu"} | settings
    model = PPO("MlpPolicy", RoutedVecEnv(env), **settings)
    model.learn(limit, callback=callback)
    return Reached(model.num_timesteps, callback.seconds if callback.best >= goal else None, callback.best)


class _UntilGoal(BaseCallback):
    """Evaluates before each rollout, exactly, and stops at the goal; keeps the time of the rest."""

    def __init__(self, goal: float) -> None:
        super().__init__()
        self.goal, self.best, self.seconds = goal, -1.0, 0.0
        env = assembly.build([]).make_env(1, seed=0)
        model = env.model()
        assert model is not None
        self._exact = ExactEvaluator(model, horizon=env.spec.horizon, discount=env.spec.discount)
        self._frames = model.observe(torch.arange(len(model.start_weight)))

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
        policy: Any = self.model.policy
        return torch.cat([policy.get_distribution(part).distribution.probs for part in self._frames.split(8192)])


def settings_for_sb3(flags: Sequence[str]) -> dict[str, Any]:
    """Return the settings of train.py's flags that Stable-Baselines3's PPO has too, with every learner's entropy."""
    settings = assembly.build(flags).settings
    agent = settings.agent
    return {
        "num_envs": settings.num_envs,
        "n_steps": agent.rollout_steps,
        "batch_size": agent.minibatch,
        "n_epochs": agent.epochs,
        "ent_coef": LearnerConfig.entropy,
        "learning_rate": agent.learning_rate,
        "policy_kwargs": {"net_arch": list(agent.hidden), "activation_fn": nn.ReLU},
    }
