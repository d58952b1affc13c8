"""Rollouts made by hand or by random play, and runs that take a second."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from envs.gridworld import Config, Gridworld, make
from routed_rl.cli import run_command
from routed_rl.commands.train import train
from routed_rl.env import EnvSpec
from routed_rl.rollout import Decision, Rollout, collect

CPU = torch.device("cpu")
TINY = [
    "--env.rows",
    "3",
    "--env.columns",
    "3",
    "--num-envs",
    "16",
    "--agent.hidden",
    "8",
    "--agent.rollout-steps",
    "8",
]
"""Flags of a run that takes a second."""


def run(*args: str) -> int:
    """Train, with flags."""
    return run_command(train, args)


def train_tiny(folder: Path, steps: int = 1024, *more: str) -> None:
    """Train for a second into a folder."""
    assert run(*TINY, "--steps", str(steps), "--evaluations", "2", "--run-dir", str(folder), *more) == 0


def world(num_envs: int = 16, seed: int = 0, **kwargs: object) -> Gridworld:
    return make(Config(**kwargs), num_envs, seed=seed, device=CPU)  # type: ignore[arg-type]


def random_actions(spec: EnvSpec, count: int, generator: torch.Generator) -> Tensor:
    """Draw actions of an environment, continuous ones also beyond its bounds."""
    if spec.continuous:
        return 2 * torch.randn(count, spec.num_actions, generator=generator)
    return torch.randint(spec.num_actions, (count,), generator=generator)


def random_rollout(env: Gridworld, steps: int, seed: int = 0) -> Rollout:
    """Play uniformly at random."""
    generator = torch.Generator().manual_seed(seed)

    def act(obs: Tensor) -> Decision:
        action = torch.randint(4, (len(obs),), generator=generator)
        return Decision(action, torch.full((len(obs),), 0.25).log(), torch.zeros(len(obs)))

    return collect(env, act, env.reset(), steps)


def by_hand(outcome: list[list[int]], overseen: list[list[int]], truncated: list[list[int]]) -> Rollout:
    """Make a (T, B) rollout from what happened in each step; reported is the truth."""
    ends = torch.tensor(outcome)
    seen = torch.tensor(overseen).bool()
    steps, envs = ends.shape
    obs = torch.arange(steps * envs, dtype=torch.float32).view(steps, envs, 1)  # step t of env b shows t * B + b
    value = 10 * torch.arange(steps, dtype=torch.float32)[:, None].expand(steps, envs)
    rewards = torch.tensor([0.0, 1.0, -1.0])
    return Rollout(
        obs=obs,
        last_obs=obs[-1],
        action=torch.arange(steps)[:, None].expand(steps, envs),
        log_prob=torch.zeros(steps, envs),
        value=value,
        steer=None,
        final_obs=obs,
        reward=rewards[ends],
        terminated=ends > 0,
        truncated=torch.tensor(truncated).bool(),
        outcome=ends,
        overseen=seen,
        reported=ends * seen,
    )
