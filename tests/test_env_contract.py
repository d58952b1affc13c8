"""The environment contract, over every file in envs/."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import CPU, random_actions

from routed_rl.plugins import Plugins

NAMES = Plugins().names("envs")


def make(name: str, num_envs: int, seed: int = 0, **settings: Any) -> Any:
    module = Plugins().load("envs", name)
    return module.make(replace(module.Config(), **settings), num_envs, seed=seed, device=CPU)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_dtypes(name: str) -> None:
    env = make(name, 5)
    obs = env.reset()
    assert obs.shape == (5, *env.spec.obs_shape)
    step = env.step(random_actions(env.spec, 5, torch.Generator().manual_seed(0)))
    assert step.obs.shape == step.final_obs.shape == obs.shape
    dtypes = [torch.float32, torch.bool, torch.bool, torch.int64, torch.bool, torch.int64]
    assert [x.dtype for x in step[2:]] == dtypes
    assert all(x.shape == (5,) for x in step[2:])


@pytest.mark.parametrize("name", NAMES)
def test_ends_are_told_consistently(name: str) -> None:
    env = make(name, 64, oversight=0.5)
    generator = torch.Generator().manual_seed(0)
    env.reset()
    rewards = torch.tensor((0.0, *env.spec.outcome_rewards))
    for _ in range(64):
        step = env.step(random_actions(env.spec, 64, generator))
        assert torch.equal(step.outcome > 0, step.terminated)
        assert not (step.terminated & step.truncated).any()
        assert not (step.overseen & ~step.terminated).any()
        assert (step.reported[~step.overseen] == 0).all()
        assert (step.outcome <= len(env.spec.outcomes)).all()
        assert torch.equal(step.reward[step.terminated], rewards[step.outcome[step.terminated]])


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_everything(name: str) -> None:
    runs = []
    for seed in (1, 1, 2):
        env = make(name, 16, seed)
        generator = torch.Generator().manual_seed(0)
        frames = [env.reset()]
        frames += [env.step(random_actions(env.spec, 16, generator)).obs for _ in range(50)]
        runs.append(torch.stack(frames))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("name", NAMES)
def test_what_was_returned_is_not_written_over(name: str) -> None:
    env = make(name, 4)
    first = env.reset()
    kept = first.clone()
    generator = torch.Generator().manual_seed(0)
    step = env.step(random_actions(env.spec, 4, generator))
    copies = [x.clone() for x in step]
    for _ in range(40):
        env.step(random_actions(env.spec, 4, generator))
    assert torch.equal(first, kept)
    assert all(torch.equal(x, y) for x, y in zip(step, copies, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_scenes_can_be_drawn_on(name: str) -> None:
    env = make(name, 1)
    for scene in env.scenes():
        assert scene.obs.shape == (len(scene.cells), *env.spec.obs_shape)
        assert scene.moves.shape == (env.spec.num_actions, 2)
        assert scene.background.dtype == "uint8"
