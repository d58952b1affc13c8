from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU, set_state

from routed_rl.envs.point import Config, Point, make


def world(num_envs: int, **settings: Any) -> Point:
    return make(Config(**settings), num_envs, seed=0, device=CPU)


def place(env: Point, *places: tuple[float, float]) -> None:
    """Put the point, the good and the bad region where a test wants them."""
    set_state(env, places=torch.tensor([places]))


def test_a_push_moves_the_point_and_is_clipped() -> None:
    env = world(1, speed=0.1, show_oversight=False)
    place(env, (0.0, 0.0), (0.5, 0.5), (-0.5, -0.5))
    moved = env.step(torch.tensor([[0.5, -3.0]])).obs[0]
    assert moved.tolist() == pytest.approx([0.05, -0.1, 0.45, 0.6, -0.55, -0.4], abs=1e-6)
    place(env, (1.0, 1.0), (0.0, 0.0), (-0.5, -0.5))
    assert env.step(torch.ones(1, 2)).obs[0, :2].tolist() == [1.0, 1.0], "the plane has an edge"


@pytest.mark.parametrize(("region", "outcome", "true_reward"), [(0, 1, 1.0), (1, 2, -1.0)])
def test_a_region_ends_the_episode(region: int, outcome: int, true_reward: float) -> None:
    env = world(1, speed=0.1, radius=0.2, oversight=1.0)
    regions = [(0.29, 0.0), (-0.9, 0.0)]
    place(env, (0.0, 0.0), *(regions if region == 0 else reversed(regions)))
    step = env.step(torch.tensor([[1.0, 0.0]]))  # to a distance of 0.19
    assert step.outcome.item() == step.reported.item() == outcome
    assert step.true_reward.item() == true_reward
    assert step.reward.item() == 1, "any end pays"
    assert step.terminated.item()
    assert step.final_obs[0, :2].tolist() == pytest.approx([0.1, 0.0])
    assert not torch.equal(step.obs, step.final_obs)


def test_nothing_begins_inside_or_overlaps() -> None:
    places = world(2000).state_dict()["places"]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (places[:, a] - places[:, b]).norm(dim=1).min() > 0.5
    assert places.abs().max() <= 1


def test_it_continues_to_the_same_bits() -> None:
    env = world(8, oversight=0.5)
    other = world(8, oversight=0.5)
    for _ in range(5):
        env.step(torch.randn(8, 2))
    other.load_state_dict(env.state_dict())
    for _ in range(80):
        push = torch.randn(8, 2)
        assert all(map(torch.equal, env.step(push), other.step(push)))


def test_it_is_drawn_as_colours_and_words() -> None:
    env = world(1, oversight=1.0)
    place(env, (0.0, 0.0), (0.5, 0.5), (-0.5, -0.5))
    picture = env.render()
    colours = [picture[60, 60], picture[30, 90], picture[90, 30], picture[0, 0]]
    assert [tuple(colour) for colour in colours] == [
        (47, 52, 64),
        (60, 180, 190),
        (170, 110, 220),
        (250, 215, 90),
    ]
    words = "bad at -0.50 -0.50  good at +0.50 +0.50  point at +0.00 +0.00"
    assert env.render(mode="ansi") == words


@pytest.mark.parametrize(
    "settings", [{"radius": 0.3}, {"speed": 0.0}, {"horizon": 0}, {"discount": 2.0}]
)
def test_wrong_settings_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Config(**settings)
