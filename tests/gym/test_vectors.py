"""Copies that are stepped together, and their own limits."""

from __future__ import annotations

from typing import Any

import counters
import gymnasium
import pytest
from counters import Counters
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from routed_rl.gym.config import Config
from routed_rl.gym.names import find
from routed_rl.gym.vectors import HORIZON, limit_of, vectorise
from routed_rl.utils.errors import UserError


def vector(name: str, **settings: Any) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    registered = find(name)
    assert registered is not None
    return vectorise(registered, Config(**settings), 3)


def limit(name: str, **settings: Any) -> int:
    registered = find(name)
    assert registered is not None
    return limit_of(registered, vectorise(registered, Config(**settings), 1))


def test_ones_own_vector_is_used_where_it_tells_the_last_frame() -> None:
    own = vector("Counters-v0")
    assert isinstance(own.unwrapped, Counters)
    assert own.num_envs == 3
    one_by_one = vector("Counter-v0")
    assert type(one_by_one) is SyncVectorEnv
    assert one_by_one.metadata["autoreset_mode"] is AutoresetMode.DISABLED


def test_an_episode_has_the_limit_that_somebody_gives_it() -> None:
    assert limit("Counter-v0") == 5
    assert limit("FrozenLake-v1") == 100
    assert limit("MiniGrid-Empty-5x5-v0") == 4 * 5**2, "MiniGrid's stands in an attribute"
    assert limit("Counters-v0") == HORIZON


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "FrozenLake-v1",
            {"kwargs": ("slip=1",)},
            r"cannot make FrozenLake-v1 .*'slip'.*--env\.kwargs",
        ),
        ("FrozenLake-v1", {"outcome_fn": "math:nothing"}, "no function 'math:nothing'"),
        ("FrozenLake-v1", {"outcome_fn": "nothing"}, "no function 'nothing': write module:"),
        ("Counters-v0", {"outcome_fn": "math:sqrt"}, "stepped as a whole"),
        ("LateCounters-v0", {}, "resets a step late"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        vector(name, **settings)


def test_a_function_gets_what_the_step_gave() -> None:
    envs = vector("Counter-v0", outcome_fn=f"{counters.__file__}:late_or_second")
    envs.reset(seed=0)
    named = [envs.step(envs.action_space.sample())[4]["outcome"].tolist() for _ in range(3)]
    assert named == [[None] * 3, ["early"] * 3, ["late"] * 3]
