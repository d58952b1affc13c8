"""The settings of a Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from routed_rl.gym.config import Config


def test_arguments_are_read_as_in_yaml() -> None:
    config = Config(kwargs=("is_slippery=false", "map_name=8x8", "sizes=[1, 2]", "text=a=b"))
    wanted = {"is_slippery": False, "map_name": "8x8", "sizes": [1, 2], "text": "a=b"}
    assert config.arguments == wanted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kwargs": ("is_slippery",)}, "write key=value"),
        ({"kwargs": ("sizes=[1",)}, r"cannot read kwargs 'sizes=\[1': write the value as yaml"),
        ({"horizon": 0}, "horizon is 0"),
        ({"frame_stack": 0}, "frame-stack is 0"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"outcomes": ("a", "a")}, "each once"),
        ({"outcomes": ()}, "at least one name"),
        ({"outcomes": ("mixture",)}, "'mixture' cannot be called so"),
        ({"oversight": 2.0}, "oversight is 2.0"),
        (
            {"outcome_rewards": (0.0,)},
            r"outcome-rewards are \(0.0,\) and outcomes \('good', 'bad'\): give one number for",
        ),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)


@pytest.mark.parametrize(
    ("settings", "worth"),
    [
        ({}, (0.0, -1.0)),
        ({"outcomes": ("a", "b", "c")}, (0.0, -1.0, -1.0)),
        ({"outcome_rewards": (0.5, -3.0)}, (0.5, -3.0)),
        ({"paid": "ends"}, (1.0, -1.0)),
        ({"paid": "ends", "outcome_rewards": (2.0, -0.5)}, (2.0, -0.5)),
    ],
)
def test_what_outcomes_are_worth_unless_it_is_said(
    settings: dict[str, Any], worth: tuple[float, ...]
) -> None:
    assert Config(**settings).worth == worth


def test_the_file_of_a_function_has_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config(outcome_fn="cliff.py:outcome").outcome_fn == f"{tmp_path}/cliff.py:outcome"
    assert Config(outcome_fn="module:outcome").outcome_fn == "module:outcome"
