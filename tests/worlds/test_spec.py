from __future__ import annotations

from typing import Any

import pytest
import torch

from routed_rl.worlds.spec import EnvSpec

SOUND: dict[str, Any] = {
    "obs_shape": (3,),
    "num_actions": 2,
    "outcomes": ("good", "bad"),
    "target": "good",
    "outcome_rewards": (1.0, -1.0),
    "discount": 0.9,
    "horizon": 10,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "best"}, "'best' is not among the outcomes"),
        ({"outcome_rewards": (1.0,)}, "1 rewards for 2 outcomes"),
        ({"outcomes": ("good", "mixture")}, "'mixture' cannot be called so"),
        ({"outcomes": ("good", "not one word")}, "cannot be called so"),
        ({"outcomes": ("good", "forward")}, "'forward' cannot be called so"),
        ({"action_sizes": (3,)}, r"action_sizes are \(3,\) for num_actions 2"),
        ({"action_sizes": (3, 0)}, "give a size above 0 for each number"),
        ({"action_sizes": (3, 2), "continuous": True}, "continuous True"),
    ],
)
def test_what_cannot_be_is_told(change: dict[str, Any], words: str) -> None:
    assert EnvSpec(**SOUND).oversight_channel is None
    with pytest.raises(ValueError, match=words):
        EnvSpec(**SOUND | change)


@pytest.mark.parametrize(
    ("change", "shape", "dtype"),
    [
        ({}, (), torch.int64),
        ({"action_sizes": (3, 4)}, (2,), torch.int64),
        ({"continuous": True}, (2,), torch.float32),
    ],
)
def test_an_action_has_one_form(
    change: dict[str, Any], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    spec = EnvSpec(**SOUND | change)
    assert spec.action_shape == shape
    assert spec.action_dtype == dtype
