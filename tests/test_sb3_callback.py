from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import world
from numpy.typing import NDArray
from sb3_corridor import corridors, ppo
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from routed_rl import labels, sb3
from routed_rl.labels import Label
from routed_rl.sb3.buffer import RoutedObs


def label(model: PPO, infos: list[list[dict[str, Any] | None]]) -> tuple[list[list[int]], dict[str, float]]:
    """Let a callback see the infos of a rollout, (T, B), None where the episode goes on; return labels and metrics."""
    told: list[NDArray[np.int64]] = []
    model.set_logger(configure(format_strings=[]))
    model.rollout_buffer.label = told.append  # type: ignore[attr-defined]
    callback = sb3.RoutedCallback()
    callback.init_callback(model)
    callback.on_rollout_start()
    for row in infos:
        dones = np.array([info is not None for info in row])
        callback.update_locals({"dones": dones, "infos": [{} if info is None else info for info in row]})
        callback.on_step()
    callback.on_rollout_end()
    return told[0].tolist(), model.logger.name_to_value


def test_labels_by_hand() -> None:
    good, bad, unseen = {"outcome": "good"}, {"outcome": "bad", "overseen": True}, {"outcome": "bad", "overseen": False}
    late = {"outcome": "none", "TimeLimit.truncated": True}
    infos = [[None, bad, {}], [good, None, unseen], [late, None, None], [None, good, None]]
    told, metrics = label(ppo(corridors(3)), infos)
    known_good, known_bad = Label.KNOWN, Label.KNOWN + 1
    assert told == [
        [known_good, known_bad, Label.UNKNOWN],
        [known_good, known_good, Label.UNKNOWN],
        [Label.NOTHING, known_good, Label.RUNNING],
        [Label.RUNNING, known_good, Label.RUNNING],
    ]
    assert metrics == pytest.approx({"routing/good": 5 / 12, "routing/bad": 1 / 12})


def test_an_outcome_that_is_none_of_the_policys_raises() -> None:
    with pytest.raises(ValueError, match=r"info\['outcome'\] is 'ugly': it must be one of \('good', 'bad'\)"):
        label(ppo(corridors(1)), [[{"outcome": "ugly"}]])


def test_labels_of_our_environment_are_those_that_our_trainer_gives() -> None:
    class Recorder(sb3.RoutedCallback):
        def _on_rollout_end(self) -> None:
            super()._on_rollout_end()
            self.labels, self.observations = self._buffer._labels, self._buffer.observations.copy()

    recorder, steps = Recorder(), 40
    env = sb3.RoutedVecEnv(world(8, oversight=0.5))
    model = ppo(env, ("diamond", "ghost"), n_steps=steps, learning_rate=0.0)
    model.learn(steps * 8, callback=recorder)
    replay = world(8, oversight=0.5)
    replay.reset()  # the adapter's environment was reset when it was made and when learning began
    actions = torch.as_tensor(model.rollout_buffer.actions.reshape(8, steps, 1)[:, :, 0].T).long()
    ends, observed = [], []
    obs = replay._final
    for t in range(steps):
        observed.append(obs)
        step = replay.step(actions[t])
        ends.append((labels.label_ends(step.overseen, step.reported, step.truncated), step.terminated | step.truncated))
        obs = step.obs
    end_label, done = (torch.stack(column) for column in zip(*ends, strict=True))
    expected = labels.spread(end_label, done)
    assert np.array_equal(torch.stack(observed).numpy(), recorder.observations)
    assert {0, 2, 3, 4} <= set(expected.flatten().tolist())
    assert recorder.labels is not None
    assert np.array_equal(recorder.labels.reshape(8, steps).T, expected.numpy())


def test_each_sample_has_the_label_of_its_own_step() -> None:
    model = ppo(corridors(3), n_steps=4)
    buffer: Any = model.rollout_buffer
    buffer.reset()
    for t in range(4):
        numbers = 10.0 * np.arange(3) + t  # step t of environment b shows 10 * b + t
        obs = np.repeat(numbers[:, None], 5, axis=1)
        buffer.add(obs, np.zeros((3, 1)), np.zeros(3), np.zeros(3), torch.zeros(3), torch.zeros(3))
    buffer.label(10 * np.arange(3)[None] + np.arange(4)[:, None])
    seen = []
    for samples in buffer.get(5):
        assert isinstance(samples.observations, RoutedObs)
        assert torch.equal(samples.observations.obs[:, 0].long(), samples.observations.label)
        seen += samples.observations.label.tolist()
    assert sorted(seen) == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]


def test_what_is_missing_is_named() -> None:
    env = corridors(2)
    with pytest.raises(ValueError, match=r"pass callback=RoutedCallback\(\) to learn"):
        ppo(env, n_steps=32).learn(64)
    with pytest.raises(ValueError, match="pass rollout_buffer_class=RoutedRolloutBuffer"):
        ppo(env, n_steps=32, rollout_buffer_class=None).learn(64, callback=sb3.RoutedCallback())
    with pytest.raises(ValueError, match="observations have no labels"):
        ppo(env, n_steps=32, rollout_buffer_class=None).learn(64)
    with pytest.raises(ValueError, match=r"max_grad_norm is 0\.5"):
        ppo(env, n_steps=32, max_grad_norm=0.5).learn(64, callback=sb3.RoutedCallback())
    plain_adam = {"optimizer_class": torch.optim.Adam}
    with pytest.raises(ValueError, match="the optimizer is Adam"):
        ppo(env, n_steps=32, policy_kwargs=plain_adam).learn(64, callback=sb3.RoutedCallback())
    with pytest.raises(ValueError, match="use RoutedActorCriticPolicy"):
        PPO("MlpPolicy", env, n_steps=32, device="cpu").learn(64, callback=sb3.RoutedCallback())
