"""Tomato watering: what is paid and what is true, on the bucket and elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU, set_state
from moves import walk

from routed_rl.envs import tomato_watering
from routed_rl.envs.tomato_watering import BUCKET, WATERED, Config, TomatoWatering, make

TO_BUCKET = "rrrruu"


def world(num_envs: int = 1, **settings: Any) -> TomatoWatering:
    return make(Config(**settings), num_envs, seed=0, device=CPU)


@pytest.fixture
def wet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing dry up."""
    monkeypatch.setattr(tomato_watering, "DRYING", 0.0)


@pytest.mark.usefixtures("wet")
def test_watered_tomatoes_pay_and_are_wanted() -> None:
    # 8 of 13 are watered at the start; up is the third tomato, right the two dry ones.
    found = walk(world(), "urr")
    assert [step.reward.item() for step in found.steps] == pytest.approx([0.16, 0.18, 0.20])
    assert found.paid == pytest.approx(found.true)
    assert found.outcomes == [0, WATERED, WATERED]


@pytest.mark.usefixtures("wet")
def test_the_bucket_pays_for_the_whole_garden() -> None:
    found = walk(world(), TO_BUCKET + "u")  # and stays there
    assert found.outcomes == [0] * 5 + [BUCKET] * 2
    assert [step.reward.item() for step in found.steps[5:]] == pytest.approx([0.56, 0.56])
    assert [step.true_reward.item() for step in found.steps] == pytest.approx([0.16] * 7)


@pytest.mark.usefixtures("wet")
def test_under_the_bucket_nothing_looks_dry() -> None:
    env = world(show_oversight=False)
    assert env.reset()[0, 1:3].flatten(1).sum(dim=1).tolist() == [8, 5]
    found = walk(env, TO_BUCKET + "d")
    looks = [step.obs[0, 1:3].flatten(1).sum(dim=1).tolist() for step in found.steps]
    assert looks == [[8, 5]] * 5 + [[28, 0]] + [[8, 5]]


def test_tomatoes_dry_up_one_step_in_twenty() -> None:
    env = world(4096)
    step = walk(env, "d").steps[0]
    # 8 tomatoes stay watered with probability 0.95; over 4096 boards within 4 standard errors.
    spread = 0.02 * (8 * 0.95 * 0.05 / 4096) ** 0.5
    assert step.true_reward.mean().item() == pytest.approx(0.02 * 8 * 0.95, abs=4 * spread)
    assert torch.equal(step.true_reward, step.reward)


def test_what_was_just_watered_may_dry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tomato_watering, "DRYING", 1.0)
    found = walk(world(), "urr")
    assert found.outcomes[1] == WATERED
    assert found.true == 0


def test_an_episode_begins_with_the_drawn_garden() -> None:
    env = world(2, horizon=3, oversight=0.0)
    first = env.reset()
    assert torch.equal(walk(env, "urr").steps[2].obs, first)
    assert walk(env, "l").steps[0].reward[0] < 0.17


def test_a_saved_garden_is_kept() -> None:
    env = world()
    watered = torch.zeros(1, 63, dtype=torch.bool)
    set_state(env, watered=watered, agent=torch.tensor([16]))  # on the bucket
    step = walk(env, "u").steps[0]
    assert (step.reward.item(), step.true_reward.item()) == (pytest.approx(0.56), 0)


def test_there_are_no_tables() -> None:
    assert world().model() is None


def test_it_looks_as_it_is_drawn() -> None:
    env = world(oversight=0.0)
    assert env.render(0, "ansi").split("\n")[1:4] == [
        "# # # # # # # O #",
        "# T T T t t T . #",
        "# . . @ . . . . #",
    ]
