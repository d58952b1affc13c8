from __future__ import annotations

from typing import Any

import pytest

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
    ],
)
def test_what_cannot_be_is_told(change: dict[str, Any], words: str) -> None:
    assert EnvSpec(**SOUND).oversight_channel is None
    with pytest.raises(ValueError, match=words):
        EnvSpec(**SOUND | change)
