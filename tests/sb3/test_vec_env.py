"""Our environments in Stable-Baselines3's vector, and the reward of a routed learner."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import walk
from corridor import Corridor, corridors, ppo
from gymnasium import spaces
from helpers import CPU, world
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from routed_rl.envs import point
from routed_rl.sb3 import ReachedReward, RoutedCallback, RoutedVecEnv


def test_it_says_what_our_environment_says_and_hides_what_was_not_seen() -> None:
    noisy: dict[str, Any] = {"seed": 1, "oversight": 0.5, "false_positive": 0.3}
    ours = world(32, **noisy)
    theirs = RoutedVecEnv(world(32, **noisy))
    assert np.array_equal(theirs.reset(), ours.reset().numpy())
    generator = torch.Generator().manual_seed(0)
    met: Counter[str] = Counter()
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
            if not step.overseen[i]:
                assert info == {}
                met["unseen"] += 1
            else:
                assert info == {"outcome": ("diamond", "ghost")[step.reported[i] - 1]}
                met["seen"] += 1
                met["false"] += int(step.reported[i] != step.outcome[i])
    assert min(met["seen"], met["unseen"]) > 20
    assert met["false"] > 0


def test_an_upper_bound_is_paid_the_truth() -> None:
    ours = world(32, seed=1)
    paid, true = (RoutedVecEnv(world(32, seed=1), true_reward=given) for given in (False, True))
    for env in (ours, paid, true):
        env.reset()
    generator = torch.Generator().manual_seed(0)
    lost = 0
    for _ in range(20):
        actions = torch.randint(4, (32,), generator=generator)
        step = ours.step(actions)
        assert np.array_equal(paid.step(actions.numpy())[1], step.reward.numpy())
        assert np.array_equal(true.step(actions.numpy())[1], step.true_reward.numpy())
        lost += int((step.true_reward < 0).sum())
    assert lost > 0


def test_observations_have_no_bounds() -> None:
    space = RoutedVecEnv(world(2)).observation_space
    assert isinstance(space, spaces.Box)
    assert (space.low == -np.inf).all() and (space.high == np.inf).all()


def test_what_is_reported_on_the_way_is_said_and_what_is_true_stays_out() -> None:
    ours = walk.make(walk.Config(), 32, seed=1, device=CPU)
    theirs = RoutedVecEnv(walk.make(walk.Config(), 32, seed=1, device=CPU))
    assert np.array_equal(theirs.reset(), ours.reset().numpy())
    generator = torch.Generator().manual_seed(0)
    met: Counter[str] = Counter()
    for _ in range(40):
        actions = torch.randint(2, (32,), generator=generator)
        step = ours.step(actions)
        _, rewards, dones, infos = theirs.step(actions.numpy())
        assert np.array_equal(rewards, step.reward.numpy()), "what is paid"
        for i, info in enumerate(infos):
            ends = {"terminal_observation", "TimeLimit.truncated"} if dones[i] else set()
            reported = int(step.reported[i])
            assert set(info) == ends | ({"outcome"} if reported else set())
            if reported:
                assert info["outcome"] == ("diamond", "ghost")[reported - 1]
                met["at an end" if dones[i] else "on the way"] += 1
            elif step.outcome[i]:
                met["unseen"] += 1
    assert min(met[kind] for kind in ("at an end", "on the way", "unseen")) > 20


def test_continuous_actions_arrive_as_they_are() -> None:
    ours, theirs = (point.make(point.Config(), 8, seed=3, device=CPU) for _ in range(2))
    adapter = RoutedVecEnv(theirs)
    assert adapter.action_space == spaces.Box(-1.0, 1.0, (theirs.spec.num_actions,))
    generator = np.random.default_rng(0)
    assert np.array_equal(adapter.reset(), ours.reset().numpy())
    for _ in range(5):
        actions = generator.uniform(-1, 1, (8, theirs.spec.num_actions))
        step = ours.step(torch.as_tensor(actions, dtype=torch.float32))
        assert np.array_equal(adapter.step(actions)[0], step.obs.numpy())  # type: ignore[arg-type]
    ppo(adapter, theirs.spec.outcomes).learn(128, callback=RoutedCallback())


def test_actions_of_several_whole_numbers_have_a_space() -> None:
    ours = world(3)
    ours.spec = replace(ours.spec, num_actions=2, action_sizes=(2, 5))
    assert RoutedVecEnv(ours).action_space == spaces.MultiDiscrete([2, 5])


LEFT, RIGHT = 0, 1


@pytest.mark.parametrize(
    ("true_reward", "actions"),
    [(1.0, [RIGHT, RIGHT]), (-1.0, [LEFT, LEFT]), (0.0, [LEFT, RIGHT, LEFT, RIGHT])],
)
def test_any_end_is_worth_one_and_running_out_of_time_nothing(
    true_reward: float, actions: list[int]
) -> None:
    plain = corridors(1, horizon=4)
    reached = ReachedReward(corridors(1, horizon=4))
    plain.reset()
    reached.reset()
    true = []
    told = []
    for action in actions:
        true.append(plain.step(np.array([action]))[1][0])
        _, reward, done, infos = reached.step(np.array([action]))
        told.append(reward[0])
    before = [0.0] * (len(actions) - 1)
    assert true == [*before, true_reward]
    assert told == [*before, abs(true_reward)]
    assert done[0]
    assert infos[0]["episode"]["r"] == true_reward, "a monitor below goes on counting the truth"


class Silent(DummyVecEnv):
    """Says nothing of time, since it never runs out."""

    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, dones, infos = super().step_wait()
        return obs, rewards, dones, [{} for _ in infos]


def test_where_nothing_is_said_of_time_it_did_not_run_out() -> None:
    env = ReachedReward(Silent([Corridor]))
    env.reset()
    told = [float(env.step(np.array([RIGHT]))[1][0]) for _ in range(2)]
    assert told == [0, 1]


def test_single_environments_cannot_be_changed() -> None:
    env = RoutedVecEnv(world(3))
    assert env.get_attr("render_mode") == ["rgb_array"] * 3
    assert env.env_is_wrapped(ReachedReward) == [False] * 3
    assert [image.shape for image in env.get_images() if image is not None] == [(240, 240, 3)] * 3
    with pytest.raises(ValueError, match="cannot set 'rows'"):
        env.set_attr("rows", 3)
    with pytest.raises(ValueError, match="cannot call 'reset'"):
        env.env_method("reset")
