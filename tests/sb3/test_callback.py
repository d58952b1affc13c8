"""What the infos of episodes say becomes labels, and each label stays with its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import walk
from corridor import corridors, ppo
from helpers import CPU, world
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from routed_rl import sb3
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Decision, collect
from routed_rl.sb3.buffer import RoutedObs
from routed_rl.worlds.outcomes import Label
from routed_rl.worlds.vec_env import VecEnv

GOOD, BAD = 1, 2
"""Labels of ends that are known."""
Infos = list[list[dict[str, Any] | None]]
"""(T, B) what is said of each step, None where nothing is and the episode goes on."""


class Going(dict[str, Any]):
    """What is said of a step after which the episode goes on."""


def label(model: PPO, infos: Infos) -> tuple[list[list[int]], dict[str, float]]:
    """Let a callback see the infos of a rollout; return labels (T, B) and metrics."""
    told: list[NDArray[np.int64]] = []
    model.set_logger(configure(format_strings=[]))
    model.rollout_buffer.label = told.append  # type: ignore[attr-defined]
    callback = sb3.RoutedCallback()
    callback.init_callback(model)
    callback.on_rollout_start()
    for row in infos:
        dones = np.array([info is not None and not isinstance(info, Going) for info in row])
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


def test_what_says_that_time_ran_out_may_be_any_yes() -> None:
    for yes in (True, 1, np.True_):
        told, metrics = label(ppo(corridors(2)), [[{"TimeLimit.truncated": yes}, {}]])
        assert told == [[Label.NOTHING, Label.UNKNOWN]]
    assert {type(metrics[f"routing/{name}"]) for name in ("good", "bad")} == {float}


def test_a_report_on_the_way_is_about_the_steps_since_the_last_one() -> None:
    good, bad = {"outcome": "good"}, {"outcome": "bad", "overseen": True}
    unseen = {"outcome": "bad", "overseen": False}
    late = {"TimeLimit.truncated": True}
    infos: Infos = [
        [None, None, Going(outcome="none"), Going(good)],
        [Going(bad), Going(unseen), Going(outcome=None), Going(bad)],
        [None, None, None, None],
        [{}, good, bad | late, late],
        [None, None, Going(good), None],
    ]
    told, metrics = label(ppo(corridors(4)), infos)
    assert np.array(told).T.tolist() == [
        [BAD, BAD, Label.UNKNOWN, Label.UNKNOWN, Label.RUNNING],
        [GOOD, GOOD, GOOD, GOOD, Label.RUNNING],  # what was not seen cuts nothing
        [BAD, BAD, BAD, BAD, GOOD],  # also where time ran out
        [GOOD, BAD, Label.NOTHING, Label.NOTHING, Label.RUNNING],
    ]
    assert metrics == pytest.approx({"routing/good": 6 / 20, "routing/bad": 7 / 20})


@pytest.mark.parametrize("info", [{"outcome": "ugly"}, Going(outcome="ugly")])
def test_an_outcome_that_is_none_of_the_policys_raises(info: dict[str, Any]) -> None:
    words = r"info\['outcome'\] is 'ugly': it must be one of \('good', 'bad'\)"
    with pytest.raises(ValueError, match=words):
        label(ppo(corridors(1)), [[info]])


class Recording(sb3.RoutedRolloutBuffer):
    """Keeps the labels that it is given, and the observations of then, both (T, B, ...)."""

    def label(self, labels: NDArray[np.int64]) -> None:
        self.told = labels.copy()
        self.shown = self.observations.copy()
        super().label(labels)


def gridworlds() -> VecEnv:
    return world(8, oversight=0.5)


def walks() -> VecEnv:
    return walk.make(walk.Config(), 8, seed=0, device=CPU)


@pytest.mark.parametrize("make", [gridworlds, walks])
def test_labels_of_our_environment_are_those_that_our_trainer_gives(
    make: Callable[[], VecEnv],
) -> None:
    steps = 40
    settings: dict[str, Any] = {"learning_rate": 0.0, "rollout_buffer_class": Recording}
    model = ppo(sb3.RoutedVecEnv(make()), ("diamond", "ghost"), n_steps=steps, **settings)
    model.learn(steps * 8, callback=sb3.RoutedCallback())
    buffer: Any = model.rollout_buffer
    actions = iter(torch.as_tensor(buffer.actions.reshape(8, steps).T).long())
    # The adapter's environment was reset when it was made and when learning began: so is this one.
    replay = make()
    zero = torch.zeros(8)
    rollout = collect(replay, lambda _: Decision(next(actions), zero, zero), replay.reset(), steps)
    expected = labels.hide(rollout, replay.spec).label.numpy()
    assert np.array_equal(rollout.obs.numpy(), buffer.shown)
    assert {Label.UNKNOWN, Label.RUNNING, 1, 2} <= set(expected.flatten().tolist())
    told = buffer.told
    if not replay.spec.outcomes_end:
        # Where nothing was reported it is not told whether the overseer looked: both train all.
        quiet = [Label.UNKNOWN, Label.NOTHING]
        assert np.array_equal(np.isin(told, quiet), np.isin(expected, quiet))
        told = np.where(np.isin(told, quiet), expected, told)
        assert rollout.reported[~rollout.done].any(), "reports come on the way too"
    assert np.array_equal(told, expected)


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
