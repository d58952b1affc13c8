"""Which outcomes happened: those that were named, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from routed_rl.gym.copies import StepResult
from routed_rl.gym.outcome_reader import PATIENCE, OutcomeReader
from routed_rl.gym.vectors import say_once
from routed_rl.utils.errors import UserError


@pytest.fixture(autouse=True)
def _nothing_was_said() -> Iterator[None]:
    say_once.cache_clear()
    yield
    say_once.cache_clear()


def ended(infos: dict[str, Any], count: int = 1, *, truncated: bool = False) -> StepResult:
    """Make what copies answer that all ended in this step, with a reward of 1."""
    yes, no = np.ones(count, bool), np.zeros(count, bool)
    ends = (no, yes) if truncated else (yes, no)
    return StepResult(np.zeros((count, 1)), np.ones(count), *ends, infos, None)


def reader_of(*outcomes: str, source: str | None = None) -> OutcomeReader:
    return OutcomeReader("Lake-v0", outcomes, source)


def test_names_are_numbered_in_any_step_and_none_is_nothing() -> None:
    names = np.array(["bad", "good", None, "none", "bad"], dtype=object)
    has_one = np.array([True, True, True, True, False])
    infos = {"outcome": names, "_outcome": has_one}
    for terminated in (True, False):
        result = ended(infos, 5)._replace(terminated=np.full(5, terminated))
        assert reader_of("good", "bad").read(result).tolist() == [2, 1, 0, 0, 0]


def test_without_a_mask_every_info_has_it() -> None:
    assert reader_of("a", "b", "c").read(ended({"outcome": ["c"]})).tolist() == [3]


def test_nothing_is_guessed_from_an_end_or_its_reward() -> None:
    reader = reader_of("good", "bad")
    for reward in (1.0, -1.0):
        result = ended({}, 3)._replace(reward=np.full(3, reward))
        assert reader.read(result).tolist() == [0, 0, 0]


def test_names_that_are_not_known_are_told() -> None:
    with pytest.raises(UserError, match=r"Lake-v0 named the outcome 'lost'.*--env\.outcomes"):
        reader_of("good", "bad").read(ended({"outcome": ["lost"]}))


def test_an_end_without_a_name_is_told_where_it_must_have_one() -> None:
    reader = reader_of("a", "b", "c")
    reader.demand_named(np.array([False, False]))
    words = r"Lake-v0 terminated and info\['outcome'\] named no outcome: with --env\.paid ends let "
    with pytest.raises(UserError, match=words + "it name one of a, b, c, or leave that flag out"):
        reader.demand_named(np.array([False, True]))
    asked = reader_of("good", "bad", source="lake.py:outcome")
    with pytest.raises(UserError, match=r"terminated and lake\.py:outcome named no outcome"):
        asked.demand_named(np.array([True]))


LINE = (
    "Lake-v0 has named no outcome in 20 episodes: so far there is nothing to oversee, and the true "
    "reward is its own. Name outcomes in info['outcome'], or with --env.outcome-fn.\n"
)


@pytest.mark.parametrize("truncated", [False, True])
def test_where_none_is_named_in_twenty_episodes_a_line_says_so_once(
    truncated: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PATIENCE == 20
    reader = reader_of("good", "bad")
    going_on = ended({}, 100)._replace(terminated=np.zeros(100, bool))
    reader.read(going_on)
    for _ in range(19):
        reader.read(ended({}, truncated=truncated))
    assert capsys.readouterr().err == ""
    reader.read(ended({}, truncated=truncated))
    assert capsys.readouterr().err == LINE
    reader.read(ended({}, 100))
    reader_of("good", "bad").read(ended({}, 100))
    assert capsys.readouterr().err == "", "a run makes its environments several times"


@pytest.mark.parametrize("name", ["good", "none", None])
def test_where_infos_have_the_word_or_a_function_was_asked_nothing_is_said(
    name: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = reader_of("good", "bad")
    reader.read(ended({"outcome": [name]}))
    reader.read(ended({}, 100))
    reader_of("good", "bad", source="lake.py:outcome").read(ended({}, 100))
    assert capsys.readouterr().err == ""
