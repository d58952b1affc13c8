from __future__ import annotations

import torch
from helpers import CPU, random_rollout, world
from torch import Tensor

from routed_rl.rollouts.rollout import Decision, Frames, collect
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv


class Counter(VecEnv):
    """Two environments of numbers: step t leads to observation t + 1, pays 10 t, is worth -t."""

    spec = EnvSpec((1,), 2, ("good",), "good", (1.0,), 0.9, 99)
    num_envs = 2
    device = CPU

    def __init__(self) -> None:
        self.t = 0

    def reset(self) -> Tensor:
        self.t = 0
        return torch.zeros(2, 1)

    def step(self, actions: Tensor) -> Step:
        assert actions.tolist() == [self.t, self.t], "an action decided on the frame before it"
        number = torch.full((2,), float(self.t))
        self.t += 1
        never = torch.zeros(2).bool()
        return Step(
            obs=(number + 1)[:, None],
            final_obs=number[:, None] + 0.5,
            reward=10 * number,
            true_reward=-number,
            terminated=never,
            truncated=never,
            outcome=never.long(),
            overseen=never,
            reported=never.long(),
        )


def act(obs: Tensor) -> Decision:
    """Decide for observation t: action t, log-probability -t, value 100 t, weights t, hash 7 t."""
    number = obs.squeeze(1)
    return Decision(
        action=number.long(),
        log_prob=-number,
        value=100 * number,
        expert_weights=torch.stack((number, number), dim=1),
        obs_hash=7 * number.long(),
    )


def test_each_number_stands_where_it_belongs() -> None:
    env = Counter()
    rollout = collect(env, act, env.reset(), 3)
    assert rollout.obs[..., 0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert rollout.final_obs[..., 0].tolist() == [[0.5, 0.5], [1.5, 1.5], [2.5, 2.5]]
    assert rollout.last_obs.tolist() == [[3], [3]]
    assert rollout.action[:, 0].tolist() == [0, 1, 2]
    assert rollout.log_prob[:, 0].tolist() == [0, -1, -2]
    assert rollout.value[:, 0].tolist() == [0, 100, 200]
    assert rollout.reward[:, 0].tolist() == [0, 10, 20]
    assert rollout.true_reward[:, 0].tolist() == [0, -1, -2]
    assert rollout.expert_weights is not None
    assert rollout.expert_weights[:, 0, 0].tolist() == [0, 1, 2]
    assert rollout.obs_hash is not None
    assert rollout.obs_hash[:, 0].tolist() == [0, 7, 14]


def test_rollouts_join_without_a_gap() -> None:
    env = world(8)
    first = random_rollout(env, 4)
    assert torch.equal(first.obs[1:][~first.done[:-1]], first.final_obs[:-1][~first.done[:-1]])
    assert torch.equal(first.last_obs[~first.done[-1]], first.final_obs[-1][~first.done[-1]])


def test_observations_are_written_into_the_frames_that_are_given() -> None:
    env = Counter()
    frames = Frames.like(env.reset(), 3)
    rollout = collect(env, act, env.reset(), 3, frames)
    assert rollout.obs is frames.obs
    assert rollout.final_obs is frames.final_obs
    assert frames.obs[..., 0].tolist() == [[0, 0], [1, 1], [2, 2]]
