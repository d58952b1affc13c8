"""One of our environments, or many, as Gymnasium sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import walk
from helpers import CPU, world
from torch import Tensor

from routed_rl.envs.gridworld import Gridworld
from routed_rl.gym.views import GymnasiumEnv, GymnasiumVectorEnv
from routed_rl.worlds.vec_env import Step
from routed_rl.worlds.wrapper import VecEnvWrapper

NAMES = ("none", "diamond", "ghost")


def make(num_envs: int, *, seed: int) -> Gridworld:
    return world(num_envs, seed=seed % 1000, oversight=0.5, false_positive=0.5)


def foreseen(view: GymnasiumEnv, action: Tensor) -> Step:
    """Take a step in a copy of the environment under the view."""
    state = view.env.state_dict()
    assert state is not None
    copy = make(1, seed=0)
    copy.load_state_dict(state)
    return copy.step(action)


def test_one_says_what_our_environment_says() -> None:
    view = GymnasiumEnv(make)
    view.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    ends = 0
    for _ in range(300):
        action = torch.randint(4, (1,), generator=generator)
        step = foreseen(view, action)
        obs, reward, terminated, truncated, info = view.step(int(action))
        assert np.array_equal(obs, step.final_obs.flatten().numpy())
        assert reward == step.reward.item() == float(terminated), "any end pays"
        assert terminated == bool(step.terminated)
        assert truncated == bool(step.truncated)
        assert type(reward) is float
        assert type(terminated) is bool
        assert info == {
            "true_reward": step.true_reward.item(),
            "outcome": NAMES[step.outcome],
            "overseen": bool(step.overseen),
            "reported": NAMES[step.reported],
        }
        assert [type(value) for value in info.values()] == [float, str, bool, str]
        if not (terminated or truncated):
            assert info["outcome"] == "none"
            continue
        ends += 1
        view.reset()
    assert ends > 20


def test_the_last_frame_is_drawn_until_the_next_episode() -> None:
    view = GymnasiumEnv(make, render_mode="rgb_array")
    view.reset(seed=0)
    ended = False
    while not ended:
        *_, terminated, truncated, _ = view.step(view.action_space.sample())
        ended = terminated or truncated
    assert np.array_equal(view.render(), view.env.render(final=True))
    assert not np.array_equal(view.render(), view.env.render())
    view.reset()
    assert np.array_equal(view.render(), view.env.render())


def test_the_vector_says_what_our_environments_say() -> None:
    view = GymnasiumVectorEnv(make, 32)
    view.reset(seed=0)
    state = view.env.state_dict()
    assert state is not None
    ours = make(32, seed=0)
    ours.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    ends = 0
    for _ in range(40):
        actions = torch.randint(4, (32,), generator=generator)
        step = ours.step(actions)
        obs, rewards, terminated, truncated, infos = view.step(actions.numpy())
        done = (step.terminated | step.truncated).numpy()
        assert np.array_equal(obs, step.obs.flatten(1).numpy())
        assert np.array_equal(rewards, step.reward.numpy())
        assert np.array_equal(terminated, step.terminated.numpy())
        assert np.array_equal(truncated, step.truncated.numpy())
        # What ended has its info in final_info, all others beside it.
        final = infos.get("final_info", {})
        assert ("final_info" in infos) == ("final_obs" in infos) == done.any()
        for name in ("true_reward", "outcome", "overseen", "reported"):
            assert np.array_equal(infos[f"_{name}"], ~done)
        if done.any():
            for mask in (infos["_final_obs"], infos["_final_info"]):
                assert np.array_equal(mask, done)
        for i in range(32):
            said = final if done[i] else infos
            assert said["_outcome"][i]
            assert said["true_reward"][i] == step.true_reward[i]
            assert said["outcome"][i] == NAMES[step.outcome[i]]
            assert said["reported"][i] == NAMES[step.reported[i]]
            assert said["overseen"][i] == step.overseen[i]
            if done[i]:
                ends += 1
                assert final["_true_reward"][i] and final["_overseen"][i] and final["_reported"][i]
                assert np.array_equal(infos["final_obs"][i], step.final_obs[i].flatten().numpy())
    assert ends > 50


def test_what_happens_on_the_way_is_said_of_its_step() -> None:
    def walks(num_envs: int, *, seed: int) -> walk.Walk:
        return walk.make(walk.Config(oversight=1.0), num_envs, seed=seed % 1000, device=CPU)

    single = GymnasiumEnv(walks)
    single.reset(seed=0)
    many = GymnasiumVectorEnv(walks, 2)
    many.reset(seed=0)
    # Past the ghost, a diamond, and an end with nothing: paid 2, 1 and 4; a ghost costs 3.
    for action, paid, true, name in ((1, 2, -1, "ghost"), (0, 1, 1, "diamond"), (0, 4, 4, "none")):
        *_, terminated, truncated, info = single.step(action)
        assert info == {"true_reward": true, "outcome": name, "overseen": True, "reported": name}
        ended = name == "none"
        assert (terminated, truncated) == (ended, False)
        obs, rewards, *_, infos = many.step(np.array([action, action]))
        assert rewards.tolist() == [paid, paid]
        said = infos["final_info"] if ended else infos
        assert said["outcome"].tolist() == said["reported"].tolist() == [name, name]
        assert said["true_reward"].tolist() == [true, true]
        assert said["_overseen"].all() and said["overseen"].all()
    assert obs[:, 0].tolist() == [1, 1], "a new episode has begun"


class Camera(VecEnvWrapper):
    """Shows a picture of numbers from -1 to 1, and takes two continuous actions."""

    def __init__(self) -> None:
        super().__init__(world(1))
        self.spec = replace(
            self.spec,
            obs_shape=(3, 40, 40),
            num_actions=2,
            continuous=True,
            image=True,
            obs_range=(-1.0, 1.0),
        )

    def reset(self) -> Tensor:
        return torch.linspace(-1, 1, 3 * 40 * 40).view(1, 3, 40, 40)

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> None:
        return None


def test_pictures_are_bytes_and_continuous_actions_a_box() -> None:
    view = GymnasiumEnv(lambda num_envs, *, seed: Camera())
    obs, _ = view.reset()
    assert view.observation_space.contains(obs)
    assert (obs.dtype, obs.min(), obs.max()) == (np.uint8, 0, 255)
    assert view.action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    assert view.metadata["render_modes"] == []


class Keys(VecEnvWrapper):
    """Takes an action of two whole numbers, which it keeps."""

    def __init__(self, num_envs: int = 1) -> None:
        super().__init__(world(num_envs))
        self.spec = replace(self.spec, num_actions=2, action_sizes=(2, 3))

    def step(self, actions: Tensor) -> Step:
        self.taken = actions
        return self.env.step(actions[:, 0])


def test_actions_of_several_whole_numbers_arrive_as_they_are() -> None:
    view = GymnasiumEnv(lambda num_envs, *, seed: Keys())
    assert view.action_space == gymnasium.spaces.MultiDiscrete([2, 3])
    view.reset()
    view.step(np.array([1, 2]))
    assert isinstance(view.env, Keys)
    assert torch.equal(view.env.taken, torch.tensor([[1, 2]]))
    many = GymnasiumVectorEnv(lambda num_envs, *, seed: Keys(num_envs), 2)
    many.reset()
    many.step(np.array([[1, 2], [0, 1]]))
    assert isinstance(many.env, Keys)
    assert torch.equal(many.env.taken, torch.tensor([[1, 2], [0, 1]]))


def test_a_seed_for_each_copy_is_refused() -> None:
    seeds: Any = [1, 2]
    with pytest.raises(ValueError, match=r"give one number, which decides all 2 environments"):
        GymnasiumVectorEnv(make, 2).reset(seed=seeds)
