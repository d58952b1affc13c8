from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from helpers import CPU, random_actions
from torch import Tensor

from routed_rl.config import UserError
from routed_rl.env import Step
from routed_rl.gym_env import Config, GymEnv
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.plugins import Plugins
from routed_rl.policy import Blueprint
from routed_rl.rollout import Decision, collect

OPEN = ("is_slippery=false",)
LEFT, DOWN, RIGHT = 0, 1, 2


class Counter(gym.Env[Any, Any]):
    """Shows how many steps it has taken; ends at the third, well if the last action was 1, and names it on demand."""

    observation_space = spaces.Box(0, 10, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, names: str = "", render_mode: str | None = None) -> None:
        self.names = names

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        ended = self.time == 3
        info = {"outcome": "won" if action else "lost"} if self.names and ended else {}
        return np.full(1, self.time, np.float32), float(action) if ended else 0.0, ended, False, info


class ThreeAtOnce(SyncVectorEnv):
    """Counters that reset themselves in the step in which they end."""

    def __init__(self, num_envs: int, **kwargs: Any) -> None:
        kwargs.pop("max_episode_steps", None)
        super().__init__([lambda: Counter(**kwargs)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def second_step(obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]) -> str | None:
    return "late" if terminated else "early" if obs[0] == 2 else None


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gym.register("Counter-v0", Counter, max_episode_steps=5)
    gym.register("Counters-v0", vector_entry_point=ThreeAtOnce)
    yield
    del gym.registry["Counter-v0"], gym.registry["Counters-v0"]


def world(name: str, num_envs: int = 2, seed: int = 0, **settings: Any) -> GymEnv:
    module = Plugins().load("envs", name)
    return module.make(module.Config(**settings), num_envs, seed=seed, device=CPU)


def act(env: GymEnv, *actions: int) -> Step:
    return env.step(torch.tensor(actions))


def test_frozen_lake_ends_well_at_the_goal_and_badly_in_a_hole() -> None:
    env = world("FrozenLake-v1", kwargs=OPEN, show_oversight=False)
    obs = env.reset()
    assert obs.shape == (2, 16)
    assert obs.argmax(dim=1).tolist() == [0, 0]
    ways = [(DOWN, RIGHT), (DOWN, DOWN), (RIGHT, LEFT), (RIGHT, LEFT), (DOWN, LEFT)]  # the second: right, down, a hole
    steps = [act(env, *way) for way in ways]
    assert not any(step.terminated.any() for step in steps[:1])
    hole = steps[1]
    assert (hole.outcome.tolist(), hole.reward.tolist(), hole.terminated.tolist()) == ([0, 2], [0, -1], [False, True])
    assert hole.final_obs[1].argmax() == 5, "the last frame is in the hole"
    assert hole.obs[1].argmax() == 0, "and the next one is a new episode's first"
    goal = act(env, RIGHT, LEFT)
    assert (goal.outcome.tolist(), goal.reward.tolist()) == ([1, 0], [1, 0])
    assert goal.final_obs[0].argmax() == 15


def test_an_episode_that_runs_out_of_time_is_truncated_and_reaches_nothing() -> None:
    env = world("FrozenLake-v1", 1, kwargs=OPEN, horizon=3)
    assert env.spec.horizon == 3
    env.reset()
    steps = [act(env, LEFT) for _ in range(4)]
    assert [bool(step.truncated) for step in steps] == [False, False, True, False]
    assert not any(step.terminated or step.overseen or step.outcome for step in steps)


def test_a_truncated_episode_is_worth_what_the_critic_says_of_its_last_frame() -> None:
    env = world("FrozenLake-v1", 4, kwargs=OPEN, horizon=3)
    blueprint = Blueprint(env.spec.obs_shape, 4, ("all",), (8,))
    learner = Learner(blueprint, LearnerConfig(rollout_steps=3), discount=0.9, seed=0, device=CPU)

    def wait(obs: Tensor) -> Decision:
        return learner.act(obs)._replace(action=torch.zeros(len(obs), dtype=torch.int64))

    rollout = collect(env, wait, env.reset(), 3)
    assert rollout.truncated[2].all()
    target = learner.prepare(rollout, Lesson(rollout.reward)).target.view(3, 4)
    assert torch.allclose(target[2], 0.9 * learner.value(rollout.final_obs[2]))
    assert target[2].abs().min() > 0


@pytest.mark.parametrize("name", ["Counter-v0", "Counters-v0"])
@pytest.mark.parametrize("names", ["", "yes"])
def test_one_by_one_or_as_a_whole_it_says_the_same(name: str, names: str) -> None:
    settings = {"kwargs": ("names=yes",), "outcomes": ("won", "lost", "drawn")} if names else {}
    env = world(name, 3, show_oversight=False, oversight=1.0, **settings)
    assert env.reset().tolist() == [[0], [0], [0]]
    assert act(env, 1, 1, 1).obs.tolist() == [[1], [1], [1]]
    act(env, 0, 0, 0)
    step = act(env, 0, 1, 0)
    assert step.outcome.tolist() == step.reported.tolist() == [2, 1, 2]
    assert step.reward.tolist() == [-1, 1, -1]
    assert step.terminated.all()
    assert step.final_obs.tolist() == [[3], [3], [3]]
    assert step.obs.tolist() == [[0], [0], [0]]


def test_a_function_names_outcomes_and_an_outcome_ends_the_episode() -> None:
    env = world("Counter-v0", 1, outcomes=("late", "early"), outcome_fn=f"{__file__}:second_step", oversight=0.0)
    env.reset()
    steps = [act(env, 0) for _ in range(4)]
    assert [step.outcome.item() for step in steps] == [0, 2, 0, 2]
    assert [step.final_obs[0, 0].item() for step in steps] == [1, 2, 1, 2], "it never gets to its third step"


def test_outcomes_without_a_known_name_are_told() -> None:
    env = world("Counter-v0", 1, kwargs=("names=yes",))
    env.reset()
    with pytest.raises(UserError, match=r"named the outcome 'lost'.*--env\.outcomes"):
        [act(env, 0) for _ in range(3)]
    env = world("Counter-v0", 1, outcomes=("a", "b", "c"))
    env.reset()
    with pytest.raises(UserError, match=r"Counter-v0 terminated and info\['outcome'\] named no outcome.*a, b, c"):
        [act(env, 0) for _ in range(3)]


def test_the_flag_is_one_number_more_lit_through_watched_episodes_alone() -> None:
    env = world("Counter-v0", 64, oversight=0.5)
    assert env.spec.obs_shape == (2,)
    assert env.spec.oversight_plane == 1
    watched = env.reset()[:, 1]
    assert set(watched.tolist()) == {0.0, 1.0}
    for t in range(9):
        step = env.step(torch.ones(64, dtype=torch.int64))
        assert torch.equal(step.final_obs[:, 1], watched)
        if t % 3 == 2:
            assert torch.equal(step.overseen, watched.bool())
            assert not torch.equal(step.obs[:, 1], watched), "drawn anew"
        watched = step.obs[:, 1]
    assert world("Counter-v0", 1, show_oversight=False).spec.oversight_plane is None


def test_wrong_reports_are_as_frequent_as_asked() -> None:
    env = world("Counter-v0", 1000, oversight=1.0, false_positive=0.3, false_negative=0.1)
    env.reset()
    for action, lie, chance in ((0, 1, 0.3), (1, 2, 0.1)):
        step = [env.step(torch.full((1000,), action)) for _ in range(3)][-1]
        assert (step.reported == lie).float().mean() == pytest.approx(chance, abs=0.04)


@pytest.mark.parametrize(
    "name", ["FrozenLake-v1", "CartPole-v1", "Pendulum-v1", "Blackjack-v1", "MiniGrid-LavaGapS5-v0"]
)
def test_the_contract_of_environments(name: str) -> None:
    def play(seed: int) -> Tensor:
        env = world(name, 4, seed, horizon=20, oversight=0.5)
        generator = torch.Generator().manual_seed(0)
        rewards = torch.tensor((0.0, *env.spec.outcome_rewards))
        frames = [env.reset()]
        for _ in range(50):
            step = env.step(random_actions(env.spec, 4, generator))
            assert step.obs.shape == step.final_obs.shape == (4, *env.spec.obs_shape)
            dtypes = [torch.float32, torch.bool, torch.bool, torch.int64, torch.bool, torch.int64]
            assert [x.dtype for x in step[2:]] == dtypes
            assert torch.equal(step.outcome > 0, step.terminated)
            assert not (step.terminated & step.truncated).any()
            assert not (step.overseen & ~step.terminated).any()
            assert torch.equal(step.reward, rewards[step.outcome])
            assert torch.equal(
                step.obs[~step.terminated & ~step.truncated], step.final_obs[~step.terminated & ~step.truncated]
            )
            frames.append(step.obs)
        return torch.stack(frames)

    one, same, other = play(1), play(1), play(2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_it_cannot_be_saved_and_says_so() -> None:
    assert world("Counter-v0").state_dict() is None


def test_it_is_drawn_also_as_it_was_before_a_reset() -> None:
    env = world("FrozenLake-v1", 1, kwargs=OPEN)
    env.reset()
    start = env.render()
    assert start.dtype == np.uint8
    act(env, RIGHT)
    act(env, DOWN)
    assert np.array_equal(env.render(), start)
    assert not np.array_equal(env.render(final=True), start)
    env = world("Counter-v0")
    env.reset()
    assert env.render() is None


def test_names_are_found_where_they_are(tmp_path: Path) -> None:
    source = Path(__file__).read_text()
    path = tmp_path / "counting.py"
    path.write_text(
        source[: source.index("class ThreeAtOnce")].replace("from helpers import CPU, random_actions\n", "")
    )
    for name in (str(path), f"{path}:Counter"):
        module = Plugins().load("envs", name)
        assert module.make(module.Config(), 2, seed=0, device=CPU).spec.obs_shape == (2,)
    assert Plugins().load("envs", "minigrid:MiniGrid-Empty-5x5-v0").Config is Config


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FrozenLaek-v1", "Did you mean 'FrozenLake-v1'"),
        ("gridwordl", "Did you mean 'gridworld'"),
        ("qqqqqqqqqqqq", r"Known: gridworld, .*point\."),
        ("nowhere.at.all:Id-v0", "cannot import plugin nowhere.at.all"),
        (f"{__file__}", "2 environment classes: choose one"),
        (f"{__file__}:Nothing", "there is no environment"),
    ],
)
def test_what_is_not_there_is_told(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Plugins().load("envs", name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kwargs": ("is_slippery",)}, "write key=value"),
        ({"horizon": 0}, "horizon is 0"),
        ({"outcomes": ("a", "a")}, "each once"),
        ({"oversight": 2.0}, "oversight is 2.0"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(Config(), **settings)


def test_what_cannot_be_made_is_told() -> None:
    with pytest.raises(UserError, match=r"cannot make FrozenLake-v1 .*'slip'.*--env\.kwargs"):
        world("FrozenLake-v1", kwargs=("slip=1",))
    with pytest.raises(UserError, match="no function 'math:nothing'"):
        world("FrozenLake-v1", outcome_fn="math:nothing")
    with pytest.raises(UserError, match="stepped as a whole"):
        world("Counters-v0", outcome_fn="math:sqrt")


def endless(num_envs: int, mode: AutoresetMode, **_: Any) -> SyncVectorEnv:
    """Bandits whose episodes go on for ever, whatever limit is asked for."""

    class Bandit(Counter):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.zeros(1, np.float32), 0.0, False, False, {}

    return SyncVectorEnv([Bandit] * num_envs, autoreset_mode=mode)


def test_episodes_that_would_not_end_are_cut_off_or_told() -> None:
    gym.register("Endless-v0", vector_entry_point=endless, kwargs={"mode": AutoresetMode.DISABLED})
    gym.register("Stubborn-v0", vector_entry_point=endless, kwargs={"mode": AutoresetMode.SAME_STEP})
    try:
        env = world("Endless-v0", horizon=4)
        env.reset()
        truncated = [act(env, 0, 1).truncated.tolist() for _ in range(9)]
        assert [all(row) for row in truncated] == [False, False, False, True] * 2 + [False]
        env = world("Stubborn-v0", horizon=4)
        env.reset()
        for _ in range(3):
            act(env, 0, 1)
        with pytest.raises(UserError, match="an episode of Stubborn-v0 went on for 4 steps"):
            act(env, 0, 1)
    finally:
        del gym.registry["Endless-v0"], gym.registry["Stubborn-v0"]
