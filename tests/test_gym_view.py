"""Our environments as Gymnasium's."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from helpers import world
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from routed_rl.gym_view import GymEnv, GymVectorEnv
from routed_rl.plugins import Plugins

ID = "routed_rl.gym_view:routed_rl/{}-v0"
NAMES = Plugins().names("envs")


@pytest.mark.parametrize("name", NAMES)
def test_both_checkers_pass_without_a_warning(name: str) -> None:
    check_env(gymnasium.make(ID.format(name)).unwrapped)
    check_env_sb3(gymnasium.make(ID.format(name), render_mode="rgb_array"), skip_render_check=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_vector_is_made_by_our_own_batch(name: str) -> None:
    envs = gymnasium.make_vec(ID.format(name), 5)
    assert isinstance(envs, GymVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    obs, _ = envs.reset(seed=3)
    assert envs.observation_space.contains(obs)
    assert np.array_equal(obs, envs.reset(seed=3)[0])
    assert not np.array_equal(obs, envs.reset(seed=4)[0])
    frames = gymnasium.make_vec(ID.format(name), 2, render_mode="rgb_array").render()
    assert frames is not None
    assert [frame.dtype for frame in frames] == [np.uint8, np.uint8]


def make(num_envs: int, *, seed: int) -> Any:
    return world(num_envs, seed=seed % 1000, oversight=0.5, false_positive=0.5)


def test_one_says_what_our_environment_says() -> None:
    view = GymEnv(make)
    view.reset(seed=0)
    generator, ends = torch.Generator().manual_seed(0), 0
    for _ in range(300):
        action = torch.randint(4, (1,), generator=generator)
        step = foreseen(view, action)
        obs, reward, terminated, truncated, info = view.step(int(action))
        assert np.array_equal(obs, step.final_obs.flatten().numpy())
        assert (reward, terminated, truncated) == (step.reward.item(), bool(step.terminated), bool(step.truncated))
        assert type(reward) is float
        assert type(terminated) is bool
        if not (terminated or truncated):
            assert info == {}
            continue
        ends += 1
        names = ("none", "diamond", "ghost")
        assert info == {
            "outcome": names[step.outcome],
            "overseen": bool(step.overseen),
            "reported": names[step.reported],
        }
        view.reset()
    assert ends > 20


def test_the_last_frame_is_drawn_until_the_next_episode() -> None:
    view = GymEnv(make, render_mode="rgb_array")
    view.reset(seed=0)
    ended = False
    while not ended:
        *_, terminated, truncated, _ = view.step(view.action_space.sample())
        ended = terminated or truncated
    assert np.array_equal(view.render(), view.env.render(final=True))
    assert not np.array_equal(view.render(), view.env.render())
    view.reset()
    assert np.array_equal(view.render(), view.env.render())


def foreseen(view: GymEnv, action: torch.Tensor) -> Any:
    """Take a step in a copy of the environment under the view."""
    state = view.env.state_dict()
    assert state is not None
    copy = make(1, seed=0)
    copy.load_state_dict(state)
    return copy.step(action)


def test_the_vector_says_what_our_environments_say() -> None:
    view = GymVectorEnv(make, 32)
    view.reset(seed=0)
    ours = make(32, seed=0)
    ours.load_state_dict(view.env.state_dict())
    generator, ends = torch.Generator().manual_seed(0), 0
    for _ in range(40):
        actions = torch.randint(4, (32,), generator=generator)
        step = ours.step(actions)
        obs, rewards, terminated, truncated, infos = view.step(actions.numpy())
        done = (step.terminated | step.truncated).numpy()
        assert np.array_equal(obs, step.obs.flatten(1).numpy())
        assert np.array_equal(rewards, step.reward.numpy())
        assert np.array_equal(terminated | truncated, done)
        assert bool(infos) == done.any()
        for i in np.flatnonzero(done):
            ends += 1
            assert np.array_equal(infos["final_obs"][i], step.final_obs[i].flatten().numpy())
            assert infos["final_info"]["outcome"][i] == ("none", "diamond", "ghost")[step.outcome[i]]
            assert infos["final_info"]["reported"][i] == ("none", "diamond", "ghost")[step.reported[i]]
            assert infos["_final_obs"][i] and infos["_final_info"][i] and infos["final_info"]["_outcome"][i]
    assert ends > 50


def test_gymnasiums_own_wrappers_take_it() -> None:
    envs = RecordEpisodeStatistics(gymnasium.make_vec(ID.format("gridworld"), 4, horizon=3))
    envs.reset(seed=0)
    lengths: list[int] = []
    for _ in range(12):
        infos = envs.step(envs.action_space.sample())[4]
        if "episode" in infos:
            lengths += infos["episode"]["l"][infos["_episode"]].tolist()
    assert lengths
    assert max(lengths) == 3


def test_pictures_are_bytes_and_continuous_actions_a_box() -> None:
    class Camera:
        def __init__(self) -> None:
            self.inner = world(1)
            spec = {
                "obs_shape": (3, 40, 40),
                "num_actions": 2,
                "continuous": True,
                "image": True,
                "obs_range": (-1.0, 1.0),
            }
            self.spec = self.inner.spec.__class__(**vars(self.inner.spec) | spec)
            self.num_envs, self.device = 1, self.inner.device

        def reset(self) -> torch.Tensor:
            return torch.linspace(-1, 1, 3 * 40 * 40).view(1, 3, 40, 40)

        def render(self) -> None:
            return None

    view = GymEnv(lambda num_envs, *, seed: Camera())  # type: ignore[arg-type, return-value]
    obs, _ = view.reset()
    assert view.observation_space.contains(obs)
    assert (obs.dtype, obs.min(), obs.max()) == (np.uint8, 0, 255)
    assert view.action_space == gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    assert view.metadata["render_modes"] == []


def test_wrong_settings_and_seeds_are_told() -> None:
    with pytest.raises(ValueError, match=r"gridworld has no setting 'row'\. Did you mean 'rows'"):
        gymnasium.make(ID.format("gridworld"), row=3)
    with pytest.raises(ValueError, match=r"oversight is 2"):
        gymnasium.make_vec(ID.format("gridworld"), 2, oversight=2.0)
    with pytest.raises(ValueError, match=r"give one number"):
        gymnasium.make_vec(ID.format("gridworld"), 2).reset(seed=[1, 2])  # type: ignore[arg-type]


def test_routed_rl_alone_imports_no_gymnasium() -> None:
    code = "import sys, routed_rl, routed_rl.cli; sys.exit('routed_rl.gym_view' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
