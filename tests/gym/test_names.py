"""Gymnasium's environments are found by what --env takes."""

from __future__ import annotations

from pathlib import Path

import counters
import gymnasium
import pytest
from helpers import CPU

from routed_rl.gym.config import Config
from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.gym.names import find, ids
from routed_rl.registry import Registry
from routed_rl.utils.errors import UserError


def test_ids_are_found_also_those_that_a_module_registers() -> None:
    assert find("FrozenLake-v1") is gymnasium.spec("FrozenLake-v1")
    assert find("minigrid:MiniGrid-Empty-5x5-v0") is gymnasium.spec("MiniGrid-Empty-5x5-v0")
    assert {"FrozenLake-v1", "Counter-v0"} <= set(ids())
    assert find("gridworld") is None


def test_a_class_in_a_file_is_found() -> None:
    path = counters.__file__
    one = find(f"{path}:Counter")
    assert one is not None
    assert one.id == "Counter-v0"
    assert one.vector_entry_point is None
    several = find(f"{path}:Counters")
    assert several is not None
    assert several.entry_point is None
    assert find(f"{path}:Nothing") is None
    with pytest.raises(UserError, match="4 environment classes: choose one"):
        find(path)


def test_the_only_class_of_a_file_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "counting.py"
    path.write_text(
        f"import sys\nsys.path.append({str(Path(counters.__file__).parent)!r})\n"
        "from counters import Bandit, Counter\n"
        "class Mine(Counter): ...\n"
    )
    found = find(str(path))
    assert found is not None
    assert found.id == "Mine-v0", "those that it imports do not count"


@pytest.mark.parametrize(
    "name", ["Counter-v0", f"{counters.__file__}:Counter", f"{counters.__file__}:Counters"]
)
def test_what_is_found_is_made_as_if_it_were_ours(name: str) -> None:
    module = Registry(foreign=GYMNASIUM).load("envs", name)
    assert module.Config is Config
    assert module.make(Config(), 2, seed=0, device=CPU).spec.obs_shape == (2,)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FrozenLaek-v1", "Did you mean 'FrozenLake-v1'"),
        ("gridwordl", "Did you mean 'gridworld'"),
        ("qqqqqqqqqqqq", r"Known: absent_supervisor, .*point, .*\."),
        ("nowhere.at.all:Id-v0", "cannot import plugin nowhere.at.all"),
        (counters.__file__, "4 environment classes: choose one"),
        (f"{counters.__file__}:Nothing", "there is no environment"),
    ],
)
def test_what_is_not_there_is_told(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Registry(foreign=GYMNASIUM).load("envs", name)
