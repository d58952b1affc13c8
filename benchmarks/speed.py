"""Parts of `bench.py`: how fast the machine is, the environment, and training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from routed_rl.models.networks import FirstLayer
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, collect
from routed_rl.training.setup import Setup
from routed_rl.utils import machine
from routed_rl.worlds.vec_env import VecEnv

RUNS = 5
"""A time is the median of so many."""


def median_seconds(action: Callable[[], object], *, warm_up: int = 2, runs: int = RUNS) -> float:
    """Time an action."""
    for _ in range(warm_up):
        action()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gemm_rate(runs: int) -> float:
    """Measure float32 operations per second of a matrix product of the sizes that training has."""
    a = torch.randn(4096, 256)
    b = torch.randn(256, 256)
    products = 10
    seconds = median_seconds(lambda: [a @ b for _ in range(products)], warm_up=1, runs=runs)
    return products * 2 * 4096 * 256 * 256 / seconds


def env_rate(env: VecEnv, *, seeking: bool) -> float:
    """Measure environment steps per second, with random or with goal-seeking actions."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(env.spec.num_actions, (200, env.num_envs), generator=generator)
    seconds = 0.0
    obs = env.reset()
    for t in range(200):
        action = towards_the_good_end(obs) if seeking else actions[t]
        began = time.perf_counter()
        obs = env.step(action).obs
        seconds += time.perf_counter() - began
    return 200 * env.num_envs / seconds


def towards_the_good_end(obs: Tensor) -> Tensor:
    """Step towards the diamond of each gridworld: actions (B,) for observations (B, C, H, W)."""
    columns = obs.shape[-1]
    agent = obs[:, 0].flatten(1).argmax(dim=1)
    target = obs[:, 1].flatten(1).argmax(dim=1)
    down = target // columns - agent // columns
    right = target % columns - agent % columns
    return torch.where(down != 0, (down > 0).long(), 2 + (right > 0).long())


def dense_work(modules: Sequence[nn.Module], *, passes: int) -> int:
    """Count the operations of the dense method per environment step.

    A step takes one forward to act, and `passes` times a forward and a backward to learn. A
    backward is two forwards, less the gradient of the observation, which nobody needs.
    """
    work = 0
    for module in modules:
        sizes = [2 * weight.numel() for weight in module.parameters() if weight.ndim == 2]
        takes_obs = any(isinstance(layer, FirstLayer) for layer in module.modules())
        left_out = sizes[0] if takes_obs else 0
        work += sum(sizes) + passes * (3 * sum(sizes) - left_out)
    return work


class Speed(NamedTuple):
    """How fast one setting is, each a median."""

    collecting: float  # seconds a rollout
    updating: float  # seconds an update
    steps_per_second: float  # end to end
    environment: float  # share of the time spent in the environment, by a goal-seeking policy
    share: float  # dense work per second, divided by the matrix-product rate


def train_speed(setup: Setup) -> Speed:
    """Train a little; the matrix product is timed between the updates."""
    num_envs = setup.config.settings.num_envs
    config = setup.config.agent
    env = setup.make_env(num_envs, seed=0)
    agent = setup.make_agent(env)
    machine.keep_memory()
    obs = env.reset()
    frames = Frames.like(obs, config.rollout_steps)
    samples = config.rollout_steps * num_envs
    passes = config.n_epochs if config.algorithm == "ppo" else 1
    work = dense_work(agent.learner.modules, passes=passes) * samples
    stepping = samples / env_rate(setup.make_env(num_envs, seed=0), seeking=True)
    speeds = []
    for number in range(2 + 3 * RUNS):
        gemm = gemm_rate(1)
        began = time.perf_counter()
        rollout = collect(env, agent.act, obs, config.rollout_steps, frames)
        collecting = time.perf_counter() - began
        agent.update(labels.hide(rollout, env.spec))
        both = time.perf_counter() - began
        obs = rollout.last_obs
        if number >= 2:  # after a warm-up
            updating = both - collecting
            shares = (stepping / both, work / both / gemm)
            speeds.append(Speed(collecting, updating, samples / both, *shares))
    return Speed(*(statistics.median(column) for column in zip(*speeds, strict=True)))
