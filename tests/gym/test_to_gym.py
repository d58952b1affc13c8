"""Our environments in Gymnasium's registry."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from routed_rl.gym.to_gym import GymnasiumVectorEnv
from routed_rl.registry import Registry

ID = "routed_rl.gym.to_gym:routed_rl/{}-v0"
NAMES = Registry().names("envs")


@pytest.mark.parametrize("name", NAMES)
def test_both_checkers_pass_without_a_warning(name: str) -> None:
    check_env(gymnasium.make(ID.format(name)).unwrapped)
    check_env_sb3(gymnasium.make(ID.format(name), render_mode="rgb_array"), skip_render_check=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_vector_is_made_by_our_own_batch(name: str) -> None:
    envs = gymnasium.make_vec(ID.format(name), 5)
    assert isinstance(envs, GymnasiumVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    obs, _ = envs.reset(seed=3)
    assert envs.observation_space.contains(obs)
    assert np.array_equal(obs, envs.reset(seed=3)[0])
    assert not np.array_equal(obs, envs.reset(seed=4)[0])
    frames = gymnasium.make_vec(ID.format(name), 2, render_mode="rgb_array").render()
    assert frames is not None
    assert [frame.dtype for frame in frames] == [np.uint8, np.uint8]


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


def test_wrong_settings_are_told() -> None:
    with pytest.raises(ValueError, match=r"gridworld has no setting 'row'\. Did you mean 'rows'"):
        gymnasium.make(ID.format("gridworld"), row=3)
    with pytest.raises(ValueError, match=r"oversight is 2"):
        gymnasium.make_vec(ID.format("gridworld"), 2, oversight=2.0)


def test_routed_rl_alone_imports_no_gymnasium() -> None:
    code = (
        "import sys, routed_rl, routed_rl.cli.main\n"
        "sys.exit('gymnasium' in sys.modules or 'routed_rl.gym.to_gym' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
