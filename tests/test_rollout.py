from __future__ import annotations

import torch
from helpers import CPU, random_rollout, world
from torch import Tensor

from routed_rl.env import EnvSpec, Step
from routed_rl.rollout import Decision, collect


class Counter:
    """Two environments whose every number can be told by eye: step t gives observation t + 1 and reward 10 t."""

    spec = EnvSpec((1,), 2, ("good",), "good", (1.0,), 0.9, 99)
    num_envs, device = 2, CPU

    def __init__(self) -> None:
        self.t = 0

    def step(self, actions: Tensor) -> Step:
        assert actions.tolist() == [self.t, self.t], "an action decided on the frame before it"
        number = torch.full((2,), float(self.t))
        self.t += 1
        no = torch.zeros(2).bool()
        return Step((number + 1)[:, None], number[:, None] + 0.5, 10 * number, no, no, no.long(), no, no.long())


def test_each_number_stands_where_it_belongs() -> None:
    def act(obs: Tensor) -> Decision:
        number = obs.squeeze(1)
        return Decision(number.long(), -number, 100 * number, torch.stack((number, number), dim=1))

    rollout = collect(Counter(), act, torch.zeros(2, 1), 3)  # type: ignore[arg-type]
    assert rollout.obs[..., 0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert rollout.final_obs[..., 0].tolist() == [[0.5, 0.5], [1.5, 1.5], [2.5, 2.5]]
    assert rollout.last_obs.tolist() == [[3], [3]]
    assert rollout.action[:, 0].tolist() == [0, 1, 2]
    assert rollout.log_prob[:, 0].tolist() == [0, -1, -2]
    assert rollout.value[:, 0].tolist() == [0, 100, 200]
    assert rollout.reward[:, 0].tolist() == [0, 10, 20]
    assert rollout.steer is not None
    assert rollout.steer[:, 0, 0].tolist() == [0, 1, 2]


def test_rollouts_join_without_a_gap() -> None:
    env = world(8)
    first = random_rollout(env, 4)
    assert torch.equal(first.obs[1:][~first.done[:-1]], first.final_obs[:-1][~first.done[:-1]])
    assert torch.equal(first.last_obs[~first.done[-1]], first.final_obs[-1][~first.done[-1]])
