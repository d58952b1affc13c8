from __future__ import annotations

import numpy as np
import torch
from helpers import CPU, world
from sb3_corridor import corridors, ppo

from envs import point
from routed_rl.sb3 import ReachedReward, RoutedCallback, RoutedVecEnv


def test_it_says_what_our_environment_says_and_hides_what_was_not_seen() -> None:
    noisy = {"seed": 1, "oversight": 0.5, "false_positive": 0.3}
    ours, theirs = world(32, **noisy), RoutedVecEnv(world(32, **noisy))  # type: ignore[arg-type]
    assert np.array_equal(theirs.reset(), ours.reset().numpy())
    generator = torch.Generator().manual_seed(0)
    seen = hidden = false = 0
    for _ in range(40):
        actions = torch.randint(4, (32,), generator=generator)
        step = ours.step(actions)
        obs, rewards, dones, infos = theirs.step(actions.numpy())
        assert np.array_equal(obs, step.obs.numpy())  # type: ignore[arg-type]
        assert np.array_equal(rewards, step.reward.numpy())
        assert np.array_equal(dones, (step.terminated | step.truncated).numpy())
        for i in range(32):
            if not dones[i]:
                assert infos[i] == {}
                continue
            info = dict(infos[i])
            assert np.array_equal(info.pop("terminal_observation"), step.final_obs[i].numpy())
            assert info.pop("TimeLimit.truncated") == step.truncated[i]
            assert info == ({"outcome": ("diamond", "ghost")[step.reported[i] - 1]} if step.overseen[i] else {})
            seen, hidden = seen + bool(step.overseen[i]), hidden + (not step.overseen[i])
            false += bool(step.overseen[i] and step.reported[i] != step.outcome[i])
    assert min(seen, hidden) > 20 and false > 0


def test_continuous_actions_arrive_as_they_are() -> None:
    ours, theirs = (point.make(point.Config(), 8, seed=3, device=CPU) for _ in range(2))
    adapter, generator = RoutedVecEnv(theirs), np.random.default_rng(0)
    assert np.array_equal(adapter.reset(), ours.reset().numpy())  # type: ignore[arg-type]
    for _ in range(5):
        actions = generator.uniform(-1, 1, (8, theirs.spec.num_actions))
        step = ours.step(torch.as_tensor(actions, dtype=torch.float32))
        assert np.array_equal(adapter.step(actions)[0], step.obs.numpy())  # type: ignore[arg-type]
    ppo(adapter, theirs.spec.outcomes).learn(128, callback=RoutedCallback())


def test_any_end_is_worth_one_and_running_out_of_time_nothing() -> None:
    left, right = 0, 1
    walks = {1.0: [right, right], -1.0: [left, left], 0.0: [left, right, left, right]}
    for true_reward, actions in walks.items():
        plain = corridors(1, horizon=4)
        reached = ReachedReward(corridors(1, horizon=4))
        plain.reset(), reached.reset()
        told = []
        for action in actions:
            assert plain.step(np.array([action]))[1][0] in (0.0, true_reward)
            _, reward, done, infos = reached.step(np.array([action]))
            told.append(reward[0])
        assert done[0]
        assert told == [0.0] * (len(actions) - 1) + [abs(true_reward)]
        assert infos[0]["episode"]["r"] == true_reward  # a monitor below goes on counting the truth
