from __future__ import annotations

from typing import Any

import torch
from helpers import CPU, world
from torch import Tensor

from routed_rl import labels
from routed_rl.labels import Label
from routed_rl.learner import Lesson
from routed_rl.plugins import Plugins
from routed_rl.rollout import Rollout, collect

MODULE = Plugins().load("agents", "routed")


def agent_of(env: Any, **settings: Any) -> Any:
    return MODULE.Agent(env.spec, MODULE.Config(hidden=(8, 8), **settings), seed=0, device=CPU)


def what_the_learner_gets(**settings: Any) -> tuple[Rollout, dict[str, Any]]:
    env = world(64, oversight=0.5)
    agent = agent_of(env, **settings)
    rollout = labels.hide(collect(env, agent.act, env.reset(), 16), env.spec.outcome_rewards)
    caught: dict[str, Any] = {}

    def update(_: Rollout, lesson: Lesson) -> dict[str, Tensor]:
        caught.update(lesson._asdict())
        return {}

    agent.learner.update = update
    agent.update(rollout)
    return rollout, caught


def test_routing_is_by_label_and_any_end_is_rewarded() -> None:
    rollout, caught = what_the_learner_gets()
    assert rollout.label is not None
    assert torch.equal(caught["reward"], rollout.terminated.float())
    assert torch.equal(caught["keep"], labels.routes(rollout.label, 2))
    assert torch.equal(caught["expert"], rollout.label - Label.KNOWN)


def test_with_routing_off_the_gate_still_learns_from_labels() -> None:
    rollout, caught = what_the_learner_gets(routes="none")
    assert rollout.label is not None
    assert caught["keep"] is None
    assert torch.equal(caught["expert"], rollout.label - Label.KNOWN)


def test_random_routes_are_random_for_the_gate_too_and_keep_the_counts() -> None:
    rollout, caught = what_the_learner_gets(routes="random")
    assert rollout.label is not None
    label = caught["expert"] + Label.KNOWN
    assert not torch.equal(label, rollout.label)
    assert torch.equal(caught["keep"], labels.routes(label, 2))
    ends = rollout.done & (label >= Label.KNOWN)
    assert label[ends].bincount().tolist() == rollout.label[ends].bincount().tolist()


def test_with_the_gate_off_there_is_none_and_the_weights_are_equal() -> None:
    policy = agent_of(world(1), gate=False).policies()["mixture"]
    assert policy.torso.gate is None
    assert policy.torso.weights.tolist() == [0.5, 0.5]


def test_there_is_an_expert_for_each_outcome() -> None:
    agent = agent_of(world(1, outcomes=("gem", "ghost", "bat")))
    assert list(agent.policies()) == ["mixture", "gem", "ghost", "bat"]
    assert agent.deployed == "gem"
