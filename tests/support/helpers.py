"""Rollouts made by hand or by random play, and runs that take a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.cli.main import run_command
from routed_rl.cli.train import train
from routed_rl.envs.gridworld import Config, Gridworld, make
from routed_rl.rollouts.rollout import Decision, Rollout, collect
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import VecEnv

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
TINY = [
    *("--env.rows", "3", "--env.columns", "3", "--num-envs", "16"),
    *("--agent.hidden", "8", "--agent.rollout-steps", "8"),
]
"""Flags of a run that takes a second."""
TINY_TITLE = "at oversight 0.1, rows 3, columns 3, rollout-steps 8, hidden 8, 2 more, seed"
"""What the title of such a run says between its world and its seed."""
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""A small file of yaml that is 9 to the power of 9 words: aliases of aliases."""


def run(*args: str) -> int:
    """Train, with flags."""
    return run_command(train, args)


def train_tiny(folder: Path, steps: int = 1024, *more: str, page: bool = False) -> None:
    """Train for a second into a folder, with a report page if asked for."""
    flags = [*TINY, "--steps", str(steps), "--evaluations", "2", "--run-dir", str(folder)]
    assert run(*flags, *(() if page else ("--no-page",)), *more) == 0


def world(num_envs: int = 16, seed: int = 0, **settings: Any) -> Gridworld:
    """Make gridworlds."""
    return make(Config(**settings), num_envs, seed=seed, device=CPU)


def set_state(env: VecEnv, **state: Tensor) -> None:
    """Change running episodes: some of the tensors that the world's `state_dict` names."""
    saved = env.state_dict()
    assert saved is not None
    for name, value in state.items():
        assert saved[name].shape == value.shape, name
    env.load_state_dict(saved | state)


def random_actions(spec: EnvSpec, count: int, generator: torch.Generator) -> Tensor:
    """Draw actions of an environment, continuous ones also beyond its bounds."""
    if spec.continuous:
        return 2 * torch.randn(count, spec.num_actions, generator=generator)
    if spec.action_sizes:
        columns = [torch.randint(n, (count,), generator=generator) for n in spec.action_sizes]
        return torch.stack(columns, dim=1)
    return torch.randint(spec.num_actions, (count,), generator=generator)


def random_rollout(env: VecEnv, steps: int, seed: int = 0) -> Rollout:
    """Play a world of four moves uniformly at random."""
    generator = torch.Generator().manual_seed(seed)

    def act(obs: Tensor) -> Decision:
        action = torch.randint(4, (len(obs),), generator=generator)
        return Decision(action, torch.full((len(obs),), 0.25).log(), torch.zeros(len(obs)))

    return collect(env, act, env.reset(), steps)


def by_hand(
    outcome: list[list[int]], overseen: list[list[int]], truncated: list[list[int]]
) -> Rollout:
    """Make a (T, B) rollout from what happened in each step; what is reported is the truth.

    Step t of environment b shows the number t * B + b, has action t and value 10 t. Outcomes end
    episodes, and any of them pays 1.
    """
    ends = torch.tensor(outcome)
    seen = torch.tensor(overseen).bool()
    steps, envs = ends.shape
    obs = torch.arange(steps * envs, dtype=torch.float32).view(steps, envs, 1)
    time = torch.arange(steps)[:, None].expand(steps, envs)
    true_rewards = torch.tensor([0.0, 1.0, -1.0, -1.0])
    return Rollout(
        obs=obs,
        last_obs=obs[-1],
        action=time,
        log_prob=torch.zeros(steps, envs),
        value=10.0 * time,
        final_obs=obs,
        reward=(ends > 0).float(),
        true_reward=true_rewards[ends],
        terminated=ends > 0,
        truncated=torch.tensor(truncated).bool(),
        outcome=ends,
        overseen=seen,
        reported=ends * seen,
    )


BY_HAND = EnvSpec(
    obs_shape=(1,),
    num_actions=8,
    outcomes=("diamond", "ghost"),
    target="diamond",
    outcome_rewards=(1.0, -1.0),
    discount=0.9,
    horizon=8,
    outcomes_end=True,
)
"""Of a world that rollouts made by hand could come from."""
OPEN = replace(BY_HAND, outcome_rewards=(0.0, -3.0), outcomes_end=False)
"""Of a world in which outcomes end nothing: a ghost costs 3 of what is paid, a diamond nothing."""


def on_the_way(
    outcome: list[list[int]], overseen: list[list[int]], terminated: list[list[int]]
) -> Rollout:
    """Make a (T, B) rollout of `OPEN`; what is reported is the truth, and step t pays t + 1."""
    rollout = by_hand(outcome, overseen, [[0] * len(row) for row in outcome])
    paid = 1 + rollout.action.float()
    worth = torch.tensor((0.0, *OPEN.outcome_rewards))
    return replace(
        rollout,
        reward=paid,
        true_reward=paid + worth[rollout.outcome],
        terminated=torch.tensor(terminated).bool(),
    )


def two_open_episodes() -> Rollout:
    """Make five steps of two environments, the first overseen all through, the second never.

    In each a ghost comes in step 1, a diamond in step 2, the episode ends in step 3, and another
    one goes on after that.
    """
    return on_the_way(
        outcome=[[0, 0], [2, 2], [1, 1], [0, 0], [0, 0]],
        overseen=[[1, 0]] * 5,
        terminated=[[0, 0], [0, 0], [0, 0], [1, 1], [0, 0]],
    )


def four_episodes() -> Rollout:
    """Make two steps: a ghost seen, a ghost unseen, a diamond seen, and nothing yet."""
    return by_hand(
        outcome=[[0, 0, 0, 0], [2, 2, 1, 0]],
        overseen=[[0, 0, 0, 0], [1, 0, 1, 0]],
        truncated=[[0, 0, 0, 0], [0, 0, 0, 0]],
    )


def copies(module: nn.Module) -> list[Tensor]:
    """Copy a module's parameters, to see later which of them have moved."""
    return [parameter.detach().clone() for parameter in module.parameters()]


def moved(module: nn.Module, before: list[Tensor]) -> list[bool]:
    """Say of each parameter whether it is another than it was."""
    pairs = zip(before, module.parameters(), strict=True)
    return [not torch.equal(old, new) for old, new in pairs]
