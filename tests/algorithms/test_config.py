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
        ("log_std_init", -5.1),
    ],
)
def test_a_wrong_setting_is_told(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name.replace('_', '-')} is"):
        LearnerConfig(**{name: value})  # type: ignore[arg-type]


def test_what_is_linear_falls_to_nothing_and_the_rest_stays() -> None:
    config = LearnerConfig(learning_rate=4e-3, learning_rate_schedule="linear", clip_range=0.2)
    assert config.at(0.0) == (4e-3, 0.2, config.ent_coef)
    assert config.at(0.75) == (1e-3, 0.2, config.ent_coef)
    assert config.at(1.0) == (0.0, 0.2, config.ent_coef)
    config = LearnerConfig(
        ent_coef=0.5, entropy_schedule="linear", clip_range=0.2, clip_range_schedule="linear"
    )
    assert config.at(0.5) == (config.learning_rate, 0.1, 0.25)
