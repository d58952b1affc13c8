from __future__ import annotations

from dataclasses import replace

import pytest

from routed_rl.models.policy_spec import PolicySpec
from routed_rl.worlds.spec import EnvSpec

WORLD = EnvSpec(
    obs_shape=(4, 36, 40),
    num_actions=2,
    outcomes=("good", "bad"),
    target="good",
    outcome_rewards=(1.0, -1.0),
    discount=0.9,
    horizon=10,
    oversight_channel=3,
    continuous=True,
    image=True,
)


@pytest.mark.parametrize(("hide", "channels"), [(False, 4), (True, 3)])
def test_it_takes_after_its_world(hide: bool, channels: int) -> None:
    spec = PolicySpec.of(WORLD, ["good", "bad"], [8, 7], gate=True, hide_oversight=hide)
    assert spec == PolicySpec(
        obs_shape=(4, 36, 40),
        num_actions=2,
        experts=("good", "bad"),
        hidden=(8, 7),
        gate=True,
        dropped_channel=3 if hide else None,
        continuous=True,
        image=True,
        oversight_channel=None if hide else 3,
    )
    assert spec.visible_shape == (channels, 36, 40)


def test_it_has_the_sizes_of_its_worlds_actions() -> None:
    world = replace(WORLD, continuous=False, action_sizes=(3, 4))
    assert PolicySpec.of(world, ["policy"], [8]).action_sizes == (3, 4)


@pytest.mark.parametrize(
    ("hidden", "image", "chunk"),
    [
        ((16,), False, 8192),
        ((64, 64), False, 8192),
        ((64, 128), False, 4096),
        ((256,), False, 2048),
        ((1024,), False, 2048),
        ((64, 64), True, 2048),
    ],
)
def test_its_chunks_are_larger_where_its_layers_are_narrow(
    hidden: tuple[int, ...], image: bool, chunk: int
) -> None:
    assert PolicySpec((3, 36, 36), 2, ("policy",), hidden, image=image).chunk == chunk
