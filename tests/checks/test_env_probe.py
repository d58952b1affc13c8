"""What random play of a world under examination is like."""

from __future__ import annotations

from dataclasses import replace

import torch
from helpers import CPU, world

from routed_rl.checks.env_probe import NUM_ENVS, EnvProbe, ages, draw_actions
from routed_rl.envs import gridworld, point


def test_ages_count_from_one_in_each_episode() -> None:
    done = torch.tensor([[0, 1], [0, 0], [1, 0], [0, 1]]).bool()
    assert ages(done).tolist() == [[1, 1], [2, 1], [3, 2], [1, 3]]


def test_two_horizons_are_played_the_same_each_time() -> None:
    probe = EnvProbe(gridworld, gridworld.Config(rows=3, columns=3, horizon=8), CPU)
    assert probe.rollout.action.shape == (17, NUM_ENVS)
    assert torch.equal(probe.rollout.action, probe.play(probe.make()).action)
    assert torch.equal(probe.rollout.obs, probe.play(probe.make()).obs)
    assert probe.age.max() <= 8
    long = EnvProbe(gridworld, gridworld.Config(horizon=10_000), CPU)
    assert long.steps == 512


def test_oversight_is_chosen_and_a_budget_of_labels_left_out() -> None:
    config = gridworld.Config(rows=3, columns=3, oversight=0.0, label_budget=0)
    probe = EnvProbe(gridworld, config, CPU)
    ended = probe.rollout.terminated.sum()
    assert 0 < probe.rollout.overseen.sum() < ended
    always = probe.play(probe.make(oversight=1.0))
    assert torch.equal(always.overseen, always.terminated)


def test_continuous_actions_lie_within_their_bounds() -> None:
    probe = EnvProbe(point, point.Config(horizon=4), CPU)
    action = probe.rollout.action
    assert action.dtype == torch.float32
    assert action.shape == (9, NUM_ENVS, probe.spec.num_actions)
    assert action.abs().max() <= 1
    assert action.std() > 0.3


def test_each_number_of_an_action_lies_below_its_size() -> None:
    env = world(500)
    env.spec = replace(env.spec, num_actions=2, action_sizes=(2, 5))
    action = draw_actions(env, torch.Generator().manual_seed(0)).action
    assert action.shape == (500, 2)
    assert action.min(dim=0).values.tolist() == [0, 0]
    assert action.max(dim=0).values.tolist() == [1, 4]
