from __future__ import annotations

from typing import Any

import torch
from helpers import CPU, world
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
    caught: list[TrainingSignal] = []

    def update(_: VisibleRollout, signal: TrainingSignal) -> dict[str, Tensor]:
        caught.append(signal)
        return {}

    agent.learner.update = update  # type: ignore[method-assign, assignment]
    agent.update(rollout)
    return rollout, caught[0]


def test_routing_is_by_label_and_any_end_is_rewarded() -> None:
    rollout, signal = what_the_learner_gets()
    assert torch.equal(signal.reward, rollout.terminated.float())
    assert signal.grad_mask is not None
    assert torch.equal(signal.grad_mask, labels.routes(rollout.label, 2))
    assert signal.gate_target is not None
    assert torch.equal(signal.gate_target, expert_of(rollout.label))


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
