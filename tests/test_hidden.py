"""What nobody saw changes no bit of what is shown, nor of what an honest agent learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import longhand
import pytest
import torch
from examined import MODULES, examples, lengths, make_agent, random_play, spoiled
from hypothesis import given
from random_worlds import Move, RandomWorld, World, worlds
from torch import Tensor

from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Rollout, VisibleRollout, collect


@examples(60)
@given(worlds, lengths)
def test_no_bit_of_what_is_shown_depends_on_what_nobody_saw(world: World, steps: int) -> None:
    rollout = random_play(world, steps)
    shown = labels.hide(rollout, world.spec)
    other = labels.hide(spoiled(rollout, world), world.spec)
    for field in fields(VisibleRollout):
        one = getattr(shown, field.name)
        if one is not None:
            assert torch.equal(one.nan_to_num(99), getattr(other, field.name).nan_to_num(99))


def ring() -> World:
    """Make four states in a ring, in which things happen in the middle of episodes.

    Any step may be overseen, and one report in three is drawn at random.
    """
    quiet = [Move(state, 0, False, 0.25, 0.25) for state in range(4)]
    return World(
        moves=[
            [Move(1, 1, False, 1.0, 1.0), quiet[2]],
            [Move(2, 2, False, 1.0, -1.0), quiet[3]],
            [Move(3, 3, False, 0.5, -1.5), Move(0, 3, True, 0.5, -1.5)],
            [Move(0, 2, False, 1.0, -1.0), quiet[1]],
        ],
        start=[0.5, 0.5, 0.0, 0.0],
        worth=(0.5, -2.0, -2.0),
        horizon=6,
        discount=0.9,
        outcomes_end=False,
        oversight="step",
        error=0.3,
    )


def has_unseen_beside_seen(rollout: Rollout) -> bool:
    """Say whether something happened unseen in an episode that went on, and was seen otherwise."""
    for env in range(rollout.outcome.shape[1]):
        column = longhand.moments(rollout, env)
        for times in longhand.episodes(column):
            episode = [column[time] for time in times]
            unseen = any(m.outcome > 0 and not m.overseen and not m.done for m in episode)
            if unseen and any(m.reported > 0 for m in episode):
                return True
    return False


def state_after(name: str, changes: dict[str, Any], *, spoil: bool) -> list[Tensor]:
    """Return all tensors of an agent's state after four updates."""
    world = ring()
    env = RandomWorld(world, 16)
    agent = make_agent(name, world, **changes)
    obs = env.reset()
    for _ in range(4):
        rollout = collect(env, agent.act, obs, 8)
        obs = rollout.last_obs
        assert has_unseen_beside_seen(rollout)
        if spoil:
            rollout = spoiled(rollout, world)
        agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec))
    return list(tensors(agent.state_dict()))


def tensors(state: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict | list):
        for value in state.values() if isinstance(state, dict) else state:
            yield from tensors(value)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in MODULES),
    ("naive", {"algorithm": "reinforce"}),
    ("routed", {"credit": "episode"}),
    ("routed", {"routes": "random"}),
    ("absorbing", {"routes": "label"}),
    ("absorbing", {"routes": "inferred", "confidence": 0.5}),
    ("absorbing", {"routes": "random"}),
]


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_no_bit_of_an_honest_agent_depends_on_what_nobody_saw(
    name: str, changes: dict[str, Any]
) -> None:
    one = state_after(name, changes, spoil=False)
    other = state_after(name, changes, spoil=True)
    equal = len(one) == len(other) and all(map(torch.equal, one, other))
    # An agent that sees everything learns something else: so the test can tell.
    assert equal != MODULES[name].Agent.sees_everything
