from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, world
from sb3_corridor import Corridor, ppo
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from envs import gridworld
from routed_rl import sb3
from routed_rl.env import Step
from routed_rl.evaluation import Evaluator
from routed_rl.steering import ablate


@pytest.fixture
def vector(tmp_path: Path) -> Iterator[Callable[[str], VecEnv]]:
    """Wrap corridors as users of Stable-Baselines3 do."""
    made: list[VecEnv] = []

    def make(name: str) -> VecEnv:
        corridors = DummyVecEnv([lambda i=i: Monitor(Corridor(), str(tmp_path / f"{name}{i}")) for i in range(4)])
        made.append(sb3.ReachedReward(corridors))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_it_lives_among_their_wrappers_callbacks_and_loggers(tmp_path: Path, vector: Callable[[str], VecEnv]) -> None:
    env = vector("train")
    model = ppo(
        env, n_steps=64, learning_rate=1e-2, gamma=0.9, n_epochs=4, ent_coef=0.05, tensorboard_log=str(tmp_path)
    )
    model.policy.steer({"good": 1.0})  # type: ignore[operator]  EvalCallback judges the expert to deploy
    evaluate = EvalCallback(
        vector("eval"), best_model_save_path=str(tmp_path), eval_freq=256, deterministic=False, verbose=0
    )
    keep = CheckpointCallback(512, str(tmp_path))
    model.learn(64 * 4 * 10, callback=[sb3.RoutedCallback(), evaluate, keep], progress_bar=True)

    assert evaluate.last_mean_reward > 0.5, "the true reward, which the monitor below counts: good is 1, bad is -1"
    best = PPO.load(tmp_path / "best_model.zip", device="cpu")
    start = np.eye(5, dtype=np.float32)[2]
    assert best.predict(start, deterministic=True)[0] == 1
    best.policy.steer({"bad": 1.0})  # type: ignore[operator]
    assert best.predict(start, deterministic=True)[0] == 0
    with (tmp_path / "train0.monitor.csv").open() as file:
        next(file)
        assert {float(row["r"]) for row in csv.DictReader(file)} == {-1.0, 1.0}
    events = EventAccumulator(str(next(tmp_path.glob("PPO_1"))))
    events.Reload()
    assert {"routing/good", "routing/bad", "eval/mean_reward", "train/loss"} <= set(events.Tags()["scalars"])
    assert 0.1 < np.mean([event.value for event in events.Scalars("routing/good")]) < 0.5
    assert (tmp_path / "rl_model_2048_steps.zip").exists()


def test_it_learns_behind_normalised_observations(vector: Callable[[str], VecEnv]) -> None:
    env = VecNormalize(vector("train"), norm_reward=False)
    model = ppo(env, n_steps=16)
    model.learn(128, callback=sb3.RoutedCallback())
    assert model.num_timesteps == 128


class Flipped(gridworld.Gridworld):
    """Reaches the other end wherever nobody looks."""

    def step(self, actions: Tensor) -> Step:
        step = super().step(actions)
        hidden = step.terminated & ~step.overseen
        outcome = torch.where(hidden, 3 - step.outcome, step.outcome)
        return step._replace(outcome=outcome, reward=torch.where(hidden, -step.reward, step.reward))


def test_flipping_every_hidden_outcome_changes_no_bit_of_any_parameter() -> None:
    found = []
    for kind, oversight in ((gridworld.Gridworld, 0.3), (Flipped, 0.3), (Flipped, 0.4)):
        env = kind(gridworld.Config(oversight=oversight), 16, seed=0, device=CPU)
        model = ppo(sb3.ReachedReward(sb3.RoutedVecEnv(env)), env.spec.outcomes, n_steps=32)
        model.learn(2 * 32 * 16, callback=sb3.RoutedCallback())
        found.append(torch.cat([parameter.detach().flatten() for parameter in model.policy.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])


@pytest.mark.slow
def test_their_ppo_grows_an_expert_that_seeks_the_diamond() -> None:
    outcomes, settings = ("diamond", "ghost"), {"n_epochs": 2, "batch_size": 2048, "ent_coef": 0.12, "gamma": 0.97}
    networks = {"net_arch": [256, 256], "activation_fn": torch.nn.ReLU}
    env = sb3.ReachedReward(sb3.RoutedVecEnv(world(256, oversight=0.1)))
    model = ppo(env, outcomes, n_steps=64, policy_kwargs=networks, **settings)
    model.learn(1_200_000, callback=sb3.RoutedCallback())

    def make_env(num_envs: int, **_: Any) -> gridworld.Gridworld:
        return gridworld.make(gridworld.Config(oversight=0.1), num_envs, seed=0, device=CPU)

    policy: Any = model.policy
    deployed = ablate(sb3.categorical(policy), {"diamond": 1.0})
    assert Evaluator(make_env, seed=0).returns({"diamond": deployed})["diamond"]["return"] > 0.55
