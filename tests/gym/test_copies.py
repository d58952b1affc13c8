"""Copies answer in one way, whether or not they reset themselves."""

from __future__ import annotations

import numpy as np
import pytest

from routed_rl.gym.config import Config
from routed_rl.gym.copies import Copies
from routed_rl.gym.names import find


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
        assert "outcome" not in result.infos
        assert envs.renew(nothing_ended).tolist() == [[age], [age]]
    result = envs.step(np.array([1, 0]))
    assert result.final.tolist() == [[3], [3]]
    assert result.terminated.tolist() == [True, True]
    assert result.reward.tolist() == [1, 0]
    assert list(result.infos["outcome"]) == ["won", "lost"]
    assert envs.renew(result.terminated).tolist() == [[0], [0]]


def test_one_that_did_not_end_can_be_renewed_if_they_do_not_reset_themselves() -> None:
    envs = copies("Counter-v0")
    envs.reset(seed=0)
    envs.step(np.array([0, 0]))
    assert envs.renew(np.array([True, False])).tolist() == [[0], [1]]
    assert envs.step(np.array([0, 0])).final.tolist() == [[1], [2]]
