from __future__ import annotations

import pytest

from routed_rl.algorithms.config import LearnerConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("clip_range", float("inf")),
        ("ent_coef", -0.1),
        ("gae_lambda", 1.1),
        ("hidden", ()),
    ],
)
def test_a_wrong_setting_is_told(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name.replace('_', '-')} is"):
        LearnerConfig(**{name: value})  # type: ignore[arg-type]
