"""What the infos of episodes say becomes labels, and each label stays with its step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from corridor import corridors, ppo
from helpers import world
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from routed_rl import sb3
from routed_rl.rollouts import labels
from routed_rl.sb3.buffer import RoutedObs
from routed_rl.worlds.outcomes import Label

GOOD, BAD = 1, 2
"""Labels of ends that are known."""
Infos = list[list[dict[str, Any] | None]]
"""(T, B) what is said of each step, None where the episode goes on."""


def label(model: PPO, infos: Infos) -> tuple[list[list[int]], dict[str, float]]:
    """Let a callback see the infos of a rollout; return labels (T, B) and metrics."""
    told: list[NDArray[np.int64]] = []
    model.set_logger(configure(format_strings=[]))
    model.rollout_buffer.label = told.append  # type: ignore[attr-defined]
    callback = sb3.RoutedCallback()
    callback.init_callback(model)
    callback.on_rollout_start()
    for row in infos:
        dones = np.array([info is not None for info in row])
        filled = [{} if info is None else info for info in row]
        callback.update_locals({"dones": dones, "infos": filled})
        callback.on_step()
    callback.on_rollout_end()
    return told[0].tolist(), model.logger.name_to_value


def test_labels_by_hand() -> None:
    good = {"outcome": "good"}
    bad = {"outcome": "bad", "overseen": True}
    unseen = {"outcome": "bad", "overseen": False}
    late = {"outcome": "none", "TimeLimit.truncated": True}
    infos: Infos = [[None, bad, {}], [good, None, unseen], [late, None, None], [None, good, None]]
    told, metrics = label(ppo(corridors(3)), infos)
    assert told == [
        [GOOD, BAD, Label.UNKNOWN],
        [GOOD, GOOD, Label.UNKNOWN],
        [Label.NOTHING, GOOD, Label.RUNNING],
        [Label.RUNNING, GOOD, Label.RUNNING],
    ]
    assert metrics == pytest.approx({"routing/good": 5 / 12, "routing/bad": 1 / 12})


def test_an_outcome_that_is_none_of_the_policys_raises() -> None:
    words = r"info\['outcome'\] is 'ugly': it must be one of \('good', 'bad'\)"
    with pytest.raises(ValueError, match=words):
        label(ppo(corridors(1)), [[{"outcome": "ugly"}]])


class Recording(sb3.RoutedRolloutBuffer):
    """Keeps the labels that it is given, and the observations of then, both (T, B, ...)."""

    def label(self, labels: NDArray[np.int64]) -> None:
        self.told = labels.copy()
        self.shown = self.observations.copy()
        super().label(labels)


def test_labels_of_our_environment_are_those_that_our_trainer_gives() -> None:
    steps = 40
    env = sb3.RoutedVecEnv(world(8, oversight=0.5))
    settings: dict[str, Any] = {"learning_rate": 0.0, "rollout_buffer_class": Recording}
    model = ppo(env, ("diamond", "ghost"), n_steps=steps, **settings)
    model.learn(steps * 8, callback=sb3.RoutedCallback())
    buffer: Any = model.rollout_buffer
    actions = torch.as_tensor(buffer.actions.reshape(8, steps).T).long()
    # The adapter's environment was reset when it was made and when learning began: so is this one.
    replay = world(8, oversight=0.5)
    obs = replay.reset()
    shown = []
    end_label = []
    done = []
    for action in actions:
        shown.append(obs)
        step = replay.step(action)
        end_label.append(labels.label_ends(step.overseen, step.reported, step.truncated))
        done.append(step.terminated | step.truncated)
        obs = step.obs
    expected = labels.label_segments(torch.stack(end_label), torch.stack(done))
    assert np.array_equal(torch.stack(shown).numpy(), buffer.shown)
    assert {Label.UNKNOWN, Label.RUNNING, 1, 2} <= set(expected.flatten().tolist())
    assert np.array_equal(buffer.told, expected.numpy())


def test_each_sample_has_the_label_of_its_own_step() -> None:
    buffer: Any = ppo(corridors(3), n_steps=4).rollout_buffer
    buffer.reset()
    for t in range(4):
        numbers = 10.0 * np.arange(3) + t  # step t of environment b shows 10 * b + t
        obs = np.repeat(numbers[:, None], 5, axis=1)
        nothing = np.zeros(3)
        buffer.add(obs, np.zeros((3, 1)), nothing, nothing, torch.zeros(3), torch.zeros(3))
    buffer.label(10 * np.arange(3)[None] + np.arange(4)[:, None])
    seen = []
    for samples in buffer.get(5):
        assert isinstance(samples.observations, RoutedObs)
        assert torch.equal(samples.observations.obs[:, 0].long(), samples.observations.label)
        seen += samples.observations.label.tolist()
    assert sorted(seen) == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]


def test_without_the_callback_it_is_named() -> None:
    with pytest.raises(ValueError, match=r"pass callback=RoutedCallback\(\) to learn"):
        ppo(corridors(2), n_steps=32).learn(64)


def test_without_the_buffer_the_labels_are_missed() -> None:
    with pytest.raises(ValueError, match="observations have no labels"):
        ppo(corridors(2), n_steps=32, rollout_buffer_class=None).learn(64)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rollout_buffer_class": None}, "pass rollout_buffer_class=RoutedRolloutBuffer"),
        ({"max_grad_norm": 0.5}, r"max_grad_norm is 0\.5"),
        ({"policy_kwargs": {"optimizer_class": torch.optim.Adam}}, "the optimizer is Adam"),
    ],
)
def test_what_else_is_missing_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ppo(corridors(2), n_steps=32, **settings).learn(64, callback=sb3.RoutedCallback())


def test_another_policy_is_named() -> None:
    model = PPO("MlpPolicy", corridors(2), n_steps=32, device="cpu")
    with pytest.raises(ValueError, match="use RoutedActorCriticPolicy"):
        model.learn(64, callback=sb3.RoutedCallback())
