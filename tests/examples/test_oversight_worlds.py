"""Environments of others without what keeps an agent from something bad."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import ROOT
from oversight_worlds import Cliff, Highway, Lander, Stepped, lava

from routed_rl.sweeps import sweep

UP, RIGHT, DOWN = 0, 1, 2


def play(env: Any, *actions: int) -> Stepped:
    """Take some actions, and return what the last one gave."""
    env.reset(seed=0)
    for action in actions:
        step = env.step(action)
    return step


def test_a_fall_costs_a_step_and_leads_back() -> None:
    cell, reward, terminated, _, info = play(Cliff(), RIGHT)
    assert (cell, reward, terminated, info["outcome"]) == (36, -1.0, False, "fall")


def test_the_goal_costs_a_step_too() -> None:
    _, reward, terminated, _, info = play(Cliff(), UP, *[RIGHT] * 11, DOWN)
    assert (reward, terminated, info["outcome"]) == (-1.0, True, "goal")


def test_lava_is_told_from_the_goal_by_its_reward() -> None:
    assert lava(None, 0.0, False, False, {}) is None
    assert lava(None, 0.0, True, False, {}) == "lava"
    assert lava(None, 0.9, True, False, {}) == "goal"


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")  # an error on the way would end Box2D, and Python with it
def test_a_crash_costs_a_lander_nothing() -> None:
    env = Lander()
    env.reset(seed=0)
    terminated = False
    while not terminated:  # it falls
        _, reward, terminated, _, info = env.step(0)
    assert (reward, info["outcome"]) == (0.0, "crash")


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_a_highway_says_how_it_went() -> None:
    faster, slower = 3, 4
    outcomes = set()
    for action in (faster, slower):
        env = Highway()
        env.reset(seed=0)
        ended = False
        while not ended:
            _, reward, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            assert reward >= 0
        outcomes.add(info["outcome"])
    assert outcomes == {"crash", "arrived"}


def test_the_sweep_trains_every_method_in_seven_worlds() -> None:
    tasks = sweep.read(ROOT / "sweeps" / "foreign.toml", None)
    worlds, methods, with_oversight_hidden, seeds = 7, 8, 2, 3
    assert len(tasks) == worlds * (methods + with_oversight_hidden) * seeds
    assert len({task.settings["env"]["name"] for task in tasks}) == worlds
