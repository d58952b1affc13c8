"""Learning among the wrappers, callbacks and loggers of Stable-Baselines3."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import walk
from corridor import START, Corridor, ppo
from helpers import CPU, world
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from routed_rl import sb3
from routed_rl.envs import gridworld
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.models.steering import ablate
from routed_rl.worlds.vec_env import Step
from routed_rl.worlds.vec_env import VecEnv as OurVecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


@pytest.fixture
def vector(tmp_path: Path) -> Iterator[Callable[[str], VecEnv]]:
    """Wrap corridors as users of Stable-Baselines3 do."""
    made: list[VecEnv] = []

    def make(name: str) -> VecEnv:
        def corridor(number: int) -> Monitor[Any, Any]:
            return Monitor(Corridor(), str(tmp_path / f"{name}{number}"))

        corridors = DummyVecEnv([lambda number=i: corridor(number) for i in range(4)])
        made.append(sb3.ReachedReward(corridors))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_it_lives_among_their_wrappers_callbacks_and_loggers(
    tmp_path: Path, vector: Callable[[str], VecEnv]
) -> None:
    settings: dict[str, Any] = {"learning_rate": 1e-2, "gamma": 0.9, "ent_coef": 0.05}
    model = ppo(vector("train"), n_steps=64, n_epochs=4, tensorboard_log=str(tmp_path), **settings)
    model.policy.steer({"good": 1.0})  # type: ignore[operator]  EvalCallback judges this expert
    evaluate = EvalCallback(
        vector("eval"),
        best_model_save_path=str(tmp_path),
        eval_freq=256,
        deterministic=False,
        verbose=0,
    )
    keep = CheckpointCallback(512, str(tmp_path))
    model.learn(64 * 4 * 10, callback=[sb3.RoutedCallback(), evaluate, keep], progress_bar=True)

    true_reward = "the monitor below counts it: good is 1, bad is -1"
    assert evaluate.last_mean_reward > 0.5, true_reward
    best = PPO.load(tmp_path / "best_model.zip", device="cpu")
    start = np.eye(5, dtype=np.float32)[START]
    assert best.predict(start, deterministic=True)[0] == 1
    best.policy.steer({"bad": 1.0})  # type: ignore[operator]
    assert best.predict(start, deterministic=True)[0] == 0
    with (tmp_path / "train0.monitor.csv").open() as file:
        next(file)
        assert {float(row["r"]) for row in csv.DictReader(file)} == {-1.0, 1.0}
    events = EventAccumulator(str(tmp_path / "PPO_1")).Reload()
    tags = {"routing/good", "routing/bad", "eval/mean_reward", "train/loss"}
    assert tags <= set(events.Tags()["scalars"])
    assert 0.1 < np.mean([event.value for event in events.Scalars("routing/good")]) < 0.5
    assert (tmp_path / "rl_model_2048_steps.zip").exists()


def test_it_learns_behind_normalised_observations(vector: Callable[[str], VecEnv]) -> None:
    env = VecNormalize(vector("train"), norm_reward=False)
    model = ppo(env, n_steps=16)
    model.learn(128, callback=sb3.RoutedCallback())
    assert model.num_timesteps == 128


class Flipped(VecEnvWrapper):
    """Lets something else happen, and be true, wherever nobody looks."""

    def step(self, actions: Tensor) -> Step:
        step = self.env.step(actions)
        # Where outcomes end episodes another one ends them; elsewhere what happens or does not.
        hidden = ~step.overseen & (step.terminated | (not self.spec.outcomes_end))
        other = 3 - step.outcome if self.spec.outcomes_end else 2 - step.outcome
        return step._replace(
            outcome=torch.where(hidden, other, step.outcome),
            true_reward=torch.where(hidden, -7 - step.true_reward, step.true_reward),
        )


def gridworlds(oversight: float) -> OurVecEnv:
    return world(16, oversight=oversight)


def walks(oversight: float) -> OurVecEnv:
    return walk.make(walk.Config(oversight), 16, seed=0, device=CPU)


def learnt(env: OurVecEnv, reward: Callable[[VecEnv], VecEnv]) -> Tensor:
    """Return all parameters after two rollouts."""
    model = ppo(reward(sb3.RoutedVecEnv(env)), env.spec.outcomes, n_steps=32)
    model.learn(2 * 32 * 16, callback=sb3.RoutedCallback())
    return nn.utils.parameters_to_vector(model.policy.parameters()).detach()


@pytest.mark.parametrize("reward", [sb3.ReachedReward, lambda env: env], ids=["reached", "paid"])
@pytest.mark.parametrize("make", [gridworlds, walks])
def test_flipping_every_hidden_outcome_changes_no_bit_of_any_parameter(
    make: Callable[[float], OurVecEnv], reward: Any
) -> None:
    plain = learnt(make(0.3), reward)
    assert torch.equal(plain, learnt(Flipped(make(0.3)), reward))
    assert not torch.equal(plain, learnt(make(0.4), reward))


@pytest.mark.slow
def test_their_ppo_grows_an_expert_that_seeks_the_diamond() -> None:
    networks = {"net_arch": [256, 256], "activation_fn": nn.ReLU}
    settings: dict[str, Any] = {"n_epochs": 2, "batch_size": 2048, "ent_coef": 0.12, "gamma": 0.97}
    env = sb3.ReachedReward(sb3.RoutedVecEnv(world(256, oversight=0.1)))
    model = ppo(env, ("diamond", "ghost"), n_steps=64, policy_kwargs=networks, **settings)
    model.learn(1_200_000, callback=sb3.RoutedCallback())

    def make_env(num_envs: int, *, oversight: float | None = None) -> gridworld.Gridworld:
        return world(num_envs, oversight=0.1)

    policy: Any = model.policy
    deployed = ablate(sb3.categorical(policy), {"diamond": 1.0})
    report = Evaluator(make_env, seed=0).returns({"diamond": deployed})["diamond"]
    assert report.true_return > 0.55
