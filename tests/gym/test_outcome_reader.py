"""Which outcome was reached: by its name, or by the reward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from routed_rl.gym.outcome_reader import OutcomeReader
from routed_rl.utils.errors import UserError

END = np.array([True])
NO_REWARD = np.zeros(1)


def read(reader: OutcomeReader, infos: dict[str, Any], reward: Any = NO_REWARD) -> list[int]:
    return reader.read(reward, END, infos).tolist()


def test_the_sign_of_the_reward_decides_between_two_that_have_no_name() -> None:
    reader = OutcomeReader("Lake-v0", ("good", "bad"), None)
    reward = np.array([1.0, 0.0, -1.0, 5.0])
    terminated = np.array([True, True, True, False])
    assert reader.read(reward, terminated, {}).tolist() == [1, 2, 2, 0]


def test_a_name_decides_before_the_reward_where_an_info_has_it() -> None:
    reader = OutcomeReader("Lake-v0", ("good", "bad"), None)
    names = np.array(["bad", "good", None, None], dtype=object)
    has_one = np.array([True, True, True, False])
    infos = {"outcome": names, "_outcome": has_one}
    terminated = np.array([True, False, True, True])
    assert reader.read(np.ones(4), terminated, infos).tolist() == [2, 1, 1, 1]


def test_without_a_mask_every_info_has_it() -> None:
    reader = OutcomeReader("Lake-v0", ("a", "b", "c"), None)
    assert read(reader, {"outcome": ["c"]}) == [3]


def test_names_that_are_not_known_or_missing_are_told() -> None:
    two = OutcomeReader("Lake-v0", ("good", "bad"), None)
    with pytest.raises(UserError, match=r"Lake-v0 named the outcome 'lost'.*--env\.outcomes"):
        read(two, {"outcome": ["lost"]})
    three = OutcomeReader("Lake-v0", ("a", "b", "c"), None)
    words = r"Lake-v0 terminated and info\['outcome'\] named no outcome.*a, b, c"
    with pytest.raises(UserError, match=words):
        read(three, {})
    asked = OutcomeReader("Lake-v0", ("good", "bad"), "lake.py:outcome")
    with pytest.raises(UserError, match=r"terminated and lake\.py:outcome named no outcome"):
        read(asked, {})
