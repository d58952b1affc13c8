"""Environments of Gymnasium as worlds, made and stepped in a line."""

from __future__ import annotations

from typing import Any

import torch
from helpers import CPU

from routed_rl.gym.from_gym import GymWorld
from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.registry import Registry
from routed_rl.worlds.vec_env import Step


def world(name: str, num_envs: int = 2, seed: int = 0, **settings: Any) -> GymWorld:
    """Make worlds of an environment."""
    module = Registry(foreign=GYMNASIUM).load("envs", name)
    return module.make(module.Config(**settings), num_envs, seed=seed, device=CPU)


def act(env: GymWorld, *actions: int) -> Step:
    """Take one action in each."""
    return env.step(torch.tensor(actions))
