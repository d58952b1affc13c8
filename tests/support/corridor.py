"""A corridor for Stable-Baselines3, of which every number can be told by eye."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from helpers import world
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from routed_rl import sb3

BAD, START, GOOD = 0, 2, 4
"""Cells."""
RELU = {"activation_fn": nn.ReLU}


class Corridor(gymnasium.Env[NDArray[Any], Any]):
    """Five cells; the right end is good, the left one bad, and one episode in two is overseen."""

    def __init__(self, *, horizon: int = 8, image: bool = False, continuous: bool = False) -> None:
        self.horizon = horizon
        self.image = image
        self.observation_space = spaces.Box(0.0, 1.0, (5,), np.float32)
        if image:
            self.observation_space = spaces.Box(0, 255, (36, 36, 3), np.uint8)
        self.action_space = spaces.Discrete(2)
        if continuous:
            self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], Any]:
        super().reset(seed=seed)
        self.cell = START
        self.age = 0
        self.overseen = bool(self.np_random.random() < 0.5)
        return self.observe(), {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        right = float(np.asarray(action).ravel()[0]) > 0
        self.cell += 1 if right else -1
        self.age += 1
        terminated = self.cell in (BAD, GOOD)
        truncated = not terminated and self.age == self.horizon
        if not terminated:
            return self.observe(), 0.0, False, truncated, {}
        good = self.cell == GOOD
        info = {"outcome": "good" if good else "bad", "overseen": self.overseen}
        return self.observe(), 1.0 if good else -1.0, True, False, info

    def observe(self) -> NDArray[Any]:
        if not self.image:
            return np.eye(5, dtype=np.float32)[self.cell]
        picture = np.zeros((36, 36, 3), np.uint8)
        picture[:, 7 * self.cell : 7 * self.cell + 7] = 255
        return picture


def corridors(count: int, **settings: Any) -> VecEnv:
    """Make corridors in Stable-Baselines3's own vector, each in a monitor."""
    return make_vec_env(Corridor, count, seed=0, env_kwargs=settings)


def ppo(
    env: VecEnv, outcomes: tuple[str, ...] = ("good", "bad"), *, n_steps: int = 16, **settings: Any
) -> PPO:
    """Make a small PPO with routed gradients that takes whole rollouts.

    `policy_kwargs` are added to its own.
    """
    policy_kwargs = {"outcomes": outcomes, "net_arch": [16, 16]} | settings.pop("policy_kwargs", {})
    defaults: dict[str, Any] = {
        "n_steps": n_steps,
        "batch_size": n_steps * env.num_envs,
        "n_epochs": 1,
        "max_grad_norm": math.inf,
        "seed": 0,
        "device": "cpu",
        "rollout_buffer_class": sb3.RoutedRolloutBuffer,
        "policy_kwargs": policy_kwargs,
    }
    return PPO(sb3.RoutedActorCriticPolicy, env, **defaults | settings)


def gridworld_ppo(**settings: Any) -> PPO:
    env = sb3.ReachedReward(sb3.RoutedVecEnv(world(32, oversight=0.5)))
    return ppo(env, ("diamond", "ghost"), n_steps=32, policy_kwargs=RELU, **settings)


def trained(model: PPO, rollouts: int = 1) -> PPO:
    assert model.env is not None
    return model.learn(rollouts * model.n_steps * model.env.num_envs, callback=sb3.RoutedCallback())


def differing(model: PPO) -> PPO:
    """Give all parameters another value, so that experts differ and the gate has a mind."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model
