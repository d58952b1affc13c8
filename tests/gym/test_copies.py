"""Copies answer in one way, whether or not they reset themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counters import Counter
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.wrappers import FilterObservation

from routed_rl.gym.config import Config
from routed_rl.gym.copies import Copies, StepResult
from routed_rl.gym.names import find
from routed_rl.gym.vectors import say_once


def copies(name: str) -> Copies:
    registered = find(name)
    assert registered is not None
    return Copies(registered, Config(kwargs=("names=yes",)), 2)


@pytest.mark.parametrize(("name", "themselves"), [("Counter-v0", False), ("Counters-v0", True)])
def test_they_say_first_what_an_action_led_to_and_then_what_to_act_on(
    name: str, themselves: bool
) -> None:
    envs = copies(name)
    assert envs.reset_themselves is themselves
    assert envs.reset(seed=0).tolist() == [[0], [0]]
    nothing_ended = np.array([False, False])
    for age in (1, 2):
        result = envs.step(np.array([1, 0]))
        assert result.final.tolist() == [[age], [age]]
        assert result.said("outcome") is None
        assert envs.renew(nothing_ended).tolist() == [[age], [age]]
    result = envs.step(np.array([1, 0]))
    assert result.final.tolist() == [[3], [3]]
    assert result.terminated.tolist() == [True, True]
    assert result.reward.tolist() == [1, 0]
    said = result.said("outcome")
    assert said is not None
    assert said.tolist() == ["won", "lost"]
    assert result.said("true_reward") is None
    assert envs.renew(result.terminated).tolist() == [[0], [0]]


def answer(infos: dict[str, Any], final_infos: dict[str, Any] | None = None) -> StepResult:
    """Make what three copies answer, of which the second one ended."""
    nothing = np.zeros((3, 1))
    ended = np.array([False, True, False])
    return StepResult(nothing, nothing[:, 0], ended, np.zeros(3, bool), infos, final_infos)


def test_what_infos_say_of_steps_is_put_together() -> None:
    names = np.array(["a", "b", None], dtype=object)
    assert answer({}).said("outcome") is None
    assert answer({}, {}).said("outcome") is None
    every = answer({"outcome": names}).said("outcome")
    assert every is not None
    assert every.tolist() == ["a", "b", None], "without a mask all have one"
    masked = answer({"outcome": names, "_outcome": np.array([False, True, True])}).said("outcome")
    assert masked is not None
    assert masked.tolist() == [None, "b", None]
    numbers = answer({"true_reward": np.array([1.5, 0.0, 2.5])}).said("true_reward")
    assert numbers is not None
    assert numbers.tolist() == [1.5, 0.0, 2.5]


def test_of_copies_that_reset_themselves_an_end_has_its_own_info_and_never_that_of_a_reset() -> (
    None
):
    names = np.array(["a", "of the reset", "c"], dtype=object)
    last = {"outcome": np.array([None, "b", None]), "_outcome": np.array([False, True, False])}
    both = answer({"outcome": names}, last).said("outcome")
    assert both is not None
    assert both.tolist() == ["a", "b", "c"]
    only_last = answer({}, last).said("outcome")
    assert only_last is not None
    assert only_last.tolist() == [None, "b", None]
    empty = answer({"outcome": names}, {}).said("outcome")
    assert empty is not None
    assert empty.tolist() == ["a", None, "c"]


def test_one_that_did_not_end_can_be_renewed_if_they_do_not_reset_themselves() -> None:
    envs = copies("Counter-v0")
    envs.reset(seed=0)
    envs.step(np.array([0, 0]))
    assert envs.renew(np.array([True, False])).tolist() == [[0], [1]]
    assert envs.step(np.array([0, 0])).final.tolist() == [[1], [2]]


class Seeing(Counter):
    """Sees a picture, and a number beside it."""

    observation_space = spaces.Dict(  # pyright: ignore[reportAssignmentType]
        {"eye": spaces.Box(0, 255, (40, 40, 3), np.uint8), "number": spaces.Discrete(2)}
    )

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(**options)
        return {"eye": np.full((40, 40, 3), 51, np.uint8), "number": 1}, {}


def test_what_a_space_has_to_say_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    say_once.cache_clear()
    made: Any = Seeing
    for _ in range(2):
        envs = Copies(Registered("Seeing-v0", made), Config(), 2)
    assert envs.reset(seed=0).shape == (2, 4800 + 2)
    assert capsys.readouterr().err == (
        "Seeing-v0: the picture 'eye' is flattened, without convolutions, since it is not the only "
        "entry: gymnasium.wrappers.FilterObservation(env, ['eye']) leaves it alone.\n"
    )

    def alone() -> FilterObservation:
        return FilterObservation(Seeing(), ["eye"])

    helped = Copies(Registered("Seeing-v0", alone), Config(), 2)
    assert helped.reset(seed=0).shape == (2, 3, 40, 40)
    assert capsys.readouterr().err == ""


def test_copies_of_minigrid_are_known_by_their_class(capsys: pytest.CaptureFixture[str]) -> None:
    registered = find("MiniGrid-Empty-5x5-v0")
    assert registered is not None
    assert Copies(registered, Config(), 2).reset(seed=0).shape == (2, 4 + 49 * 21 + 64)
    assert capsys.readouterr().err == ""
