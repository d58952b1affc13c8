"""Our worlds, as Gymnasium sees them, as worlds again: everything that is true comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import foreign
import gymnasium
import pytest
import torch
import walk
from helpers import CPU, world
from torch import Tensor

from routed_rl.gym.views import GymnasiumEnv, GymnasiumVectorEnv
from routed_rl.worlds.vec_env import Step, VecEnv

ENVS = 6
NAMED: dict[str, Any] = {"outcomes": ("diamond", "ghost"), "show_oversight": False}


def gridworlds(num_envs: int, seed: int) -> VecEnv:
    return world(num_envs, seed=seed, rows=3, columns=3, horizon=8)


def walks(num_envs: int, seed: int) -> VecEnv:
    return walk.make(walk.Config(), num_envs, seed=seed, device=CPU)


class Maker:
    """Makes worlds for a view, and keeps them."""

    def __init__(self, make: Callable[[int, int], VecEnv]) -> None:
        self.make = make
        self.made: list[VecEnv] = []

    def __call__(self, num_envs: int, *, seed: int) -> VecEnv:
        self.made.append(self.make(num_envs, seed % 1000))
        return self.made[-1]

    def twins(self, count: int) -> list[VecEnv]:
        """Make worlds that play on to the same bits as the last few do."""
        found = []
        for env in self.made[-count:]:
            found.append(self.make(env.num_envs, 0))
            state = env.state_dict()
            assert state is not None
            found[-1].load_state_dict(state)
        return found


@pytest.fixture(params=[gridworlds, walks], ids=["gridworld", "walk"])
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Register views of a world, one by one and as a whole, as long as a test runs."""
    made = Maker(request.param)

    def one() -> GymnasiumEnv:
        return GymnasiumEnv(made)

    def many(num_envs: int, **_: Any) -> GymnasiumVectorEnv:
        return GymnasiumVectorEnv(made, num_envs)

    horizon = request.param(1, 0).spec.horizon
    gymnasium.register("One-v0", one, max_episode_steps=horizon)
    gymnasium.register("Many-v0", vector_entry_point=many, max_episode_steps=horizon)
    yield made
    for name in ("One-v0", "Many-v0"):
        del gymnasium.registry[name]


def demand_same(found: Step, ours: Step) -> None:
    """Compare all but the oversight, which is the outer world's own to draw."""
    for name in ("reward", "true_reward", "terminated", "truncated", "outcome"):
        assert torch.equal(getattr(found, name), getattr(ours, name)), name
        assert getattr(found, name).dtype == getattr(ours, name).dtype, name
    assert torch.equal(found.final_obs, ours.final_obs.flatten(1)), "channels are laid flat"


def moves(count: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        yield torch.randint(count, (ENVS,), generator=generator)


def test_as_a_whole_it_plays_as_the_world_inside_does(maker: Maker) -> None:
    env = foreign.world("Many-v0", ENVS, **NAMED)
    env.reset()
    (ours,) = maker.twins(1)
    assert ours.num_envs == ENVS
    happened: set[int] = set()
    ends = 0
    for actions in moves(ours.spec.num_actions):
        found, expected = env.step(actions), ours.step(actions)
        demand_same(found, expected)
        assert torch.equal(found.obs, expected.obs.flatten(1))
        happened |= set(found.outcome.tolist())
        ends += int((found.terminated | found.truncated).sum())
    assert happened == {0, 1, 2}
    assert ends > 20


def test_one_by_one_it_plays_as_the_worlds_inside_do(maker: Maker) -> None:
    env = foreign.world("One-v0", ENVS, **NAMED)
    env.reset()
    ours = maker.twins(ENVS)
    happened: set[int] = set()
    ends = 0
    for actions in moves(ours[0].spec.num_actions):
        found = env.step(actions)
        steps = [single.step(actions[i : i + 1]) for i, single in enumerate(ours)]
        demand_same(found, Step(*(torch.cat(column) for column in zip(*steps, strict=True))))
        for i, step in enumerate(steps):
            # Ours has begun another episode by itself, and Gymnasium then asks for one more.
            done = bool(step.terminated | step.truncated)
            obs = ours[i].reset() if done else step.obs
            assert torch.equal(found.obs[i], obs.flatten())
            ends += done
        happened |= set(found.outcome.tolist())
    assert happened == {0, 1, 2}
    assert ends > 20


@pytest.mark.parametrize("name", ["One-v0", "Many-v0"])
@pytest.mark.parametrize("maker", [gridworlds], indirect=True)
def test_paid_by_ends_a_gridworld_is_what_it_was(maker: Maker, name: str) -> None:
    env = foreign.world(name, ENVS, **NAMED, paid="ends", oversight=0.5)
    inner = maker.made[-1].spec
    assert env.spec.outcomes_end and inner.outcomes_end
    assert env.spec.outcome_rewards == inner.outcome_rewards
    env.reset()
    ends = 0
    for actions in moves(4):
        step = env.step(actions)
        assert torch.equal(step.reward, step.terminated.float())
        assert torch.equal(step.true_reward, torch.tensor([0.0, 1.0, -1.0])[step.outcome])
        assert torch.equal(step.terminated, step.outcome > 0)
        ends += int(step.terminated.sum())
    assert ends > 20
