from __future__ import annotations

from typing import Any

import pytest
import torch
import walk
from helpers import CPU, OPEN, two_open_episodes, world
from torch import Tensor

from routed_rl.agents.routed import Agent, Config
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout, collect
from routed_rl.worlds.outcomes import expert_of, names_outcome, outcome_of
from routed_rl.worlds.vec_env import VecEnv


def agent_of(env: VecEnv, **settings: Any) -> Agent:
    return Agent(env.spec, Config(hidden=(8, 8), **settings), seed=0, device=CPU)


def what_the_learner_gets(**settings: Any) -> tuple[VisibleRollout, TrainingSignal]:
    """Let an agent learn from a rollout; return both, the rollout and what it makes of it."""
    env = world(64, oversight=0.5)
    agent = agent_of(env, **settings)
    rollout = labels.hide(collect(env, agent.act, env.reset(), 16), env.spec)
    return rollout, caught_from(agent, rollout)


def caught_from(agent: Agent, rollout: VisibleRollout) -> TrainingSignal:
    """Let an agent learn from a rollout, and return what its learner gets."""
    caught: list[TrainingSignal] = []

    def update(_: VisibleRollout, signal: TrainingSignal) -> dict[str, Tensor]:
        caught.append(signal)
        return {}

    agent.learner.update = update  # type: ignore[method-assign, assignment]
    agent.update(rollout)
    return caught[0]


def test_routing_is_by_label_and_any_end_is_rewarded() -> None:
    rollout, signal = what_the_learner_gets()
    assert torch.equal(signal.reward, rollout.terminated.float())
    assert signal.grad_mask is not None
    assert torch.equal(signal.grad_mask, labels.routes(rollout.label, 2))
    assert signal.gate_target is not None
    assert torch.equal(signal.gate_target, expert_of(rollout.label))


YES, NO = True, False
EVERYTHING = [YES, YES, YES]
DIAMOND, GHOST = [YES, NO, NO], [NO, YES, NO]
"""What a step trains: both experts and the gate."""


@pytest.mark.parametrize(
    ("credit", "seen", "experts"),
    [
        ("segment", [GHOST, GHOST, DIAMOND, EVERYTHING, EVERYTHING], [1, 1, 0, -1, -2]),
        ("episode", [GHOST, GHOST, GHOST, GHOST, EVERYTHING], [1, 1, 1, 1, -2]),
    ],
)
def test_where_outcomes_end_nothing_each_report_is_about_its_segment_or_the_whole_episode(
    credit: Any, seen: list[list[bool]], experts: list[int]
) -> None:
    agent = Agent(OPEN, Config(hidden=(8,), credit=credit), seed=0, device=CPU)
    signal = caught_from(agent, labels.hide(two_open_episodes(), OPEN))
    # It learns what is paid, t + 1 in step t, be it seen or not.
    assert signal.reward.T.tolist() == [[1, 2, 3, 4, 5]] * 2
    assert signal.weight is None
    assert signal.grad_mask is not None and signal.gate_target is not None
    assert signal.grad_mask[:, 0].tolist() == seen
    assert signal.grad_mask[:, 1].tolist() == [EVERYTHING] * 5
    assert signal.gate_target[:, 0].tolist() == experts
    assert signal.gate_target[:, 1].tolist() == [-3, -3, -3, -3, -2], "unknown, and running"


def test_with_routing_off_the_gate_still_learns_from_labels() -> None:
    rollout, signal = what_the_learner_gets(routes="none")
    assert signal.grad_mask is None
    assert signal.gate_target is not None
    assert torch.equal(signal.gate_target, expert_of(rollout.label))


def test_random_routes_are_random_for_the_gate_too_and_keep_the_counts() -> None:
    rollout, signal = what_the_learner_gets(routes="random")
    assert signal.gate_target is not None and signal.grad_mask is not None
    label = outcome_of(signal.gate_target)
    assert not torch.equal(label, rollout.label)
    assert torch.equal(signal.grad_mask, labels.routes(label, 2))
    ends = rollout.done & names_outcome(label)
    assert label[ends].bincount().tolist() == rollout.label[ends].bincount().tolist()


def test_where_outcomes_end_nothing_random_routes_are_shuffled_among_segments_or_episodes() -> None:
    env = walk.make(walk.Config(oversight=0.7), 64, seed=0, device=CPU)
    for credit in ("segment", "episode"):
        config = Config(hidden=(8,), routes="random", credit=credit)
        agent = Agent(env.spec, config, seed=0, device=CPU)
        rollout = labels.hide(collect(env, agent.act, env.reset(), 16), env.spec)
        signal = caught_from(agent, rollout)
        assert signal.gate_target is not None and signal.grad_mask is not None
        label = outcome_of(signal.gate_target)
        assert torch.equal(signal.grad_mask, labels.routes(label, 2))
        own, ends = rollout.label, rollout.segment_end
        if credit == "episode":
            own = labels.credit_episodes(rollout, env.spec.outcome_rewards)
            ends = rollout.done.clone()
            ends[-1] = True  # an episode that goes on keeps what was reported of it
        assert not torch.equal(label, own)
        known = ends & names_outcome(own)
        assert label[known].bincount().tolist() == own[known].bincount().tolist()
        inside = ~ends[:-1] & names_outcome(label[:-1])
        assert torch.equal(label[1:][inside], label[:-1][inside]), "one label for all of it"


def test_with_the_gate_off_there_is_none_and_the_weights_are_equal() -> None:
    policy = agent_of(world(1), gate=False).policies()["mixture"]
    assert policy.torso.gate is None
    assert policy.torso.weights.tolist() == [0.5, 0.5]


def test_there_is_an_expert_for_each_outcome() -> None:
    agent = agent_of(world(1, outcomes=("gem", "ghost", "bat")))
    assert list(agent.policies()) == ["mixture", "gem", "ghost", "bat"]
    assert agent.deployed == "gem"


def test_an_equal_start_can_be_switched_off() -> None:
    obs = world(64).reset()
    for equal in (True, False):
        policies = agent_of(world(1), equal_start=equal).policies()
        same = torch.equal(policies["diamond"](obs).actions, policies["ghost"](obs).actions)
        assert same == equal
