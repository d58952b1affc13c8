"""What the absorbing agent makes of a rollout, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from helpers import CPU, world
from torch import Tensor

from agents.absorbing import Agent, Config
from routed_rl import labels, steering
from routed_rl.labels import Label
from routed_rl.rollout import Rollout, collect

SMALL = {"hidden": (8,), "minibatch": 64, "rollout_steps": 8}
UNKNOWN = int(Label.UNKNOWN)


def played(**settings: object) -> tuple[Agent, Rollout]:
    env = world(4, oversight=0.0)
    agent = Agent(env.spec, Config(**SMALL | settings), seed=0, device=CPU)  # type: ignore[arg-type]
    return agent, labels.hide(collect(env, agent.act, env.reset(), 8), env.spec.outcome_rewards)


def ended_at_once(rollout: Rollout, chances: list[list[float]]) -> tuple[Rollout, Tensor]:
    """Let every episode end in the first step, unseen, with these inferred chances."""
    terminated = torch.zeros_like(rollout.terminated)
    terminated[0] = True
    label = torch.where(terminated, UNKNOWN, int(Label.RUNNING))
    inferred = torch.zeros(*terminated.shape, 2)
    inferred[0] = torch.tensor(chances)
    changed = replace(rollout, terminated=terminated, truncated=torch.zeros_like(terminated), label=label)
    return changed, inferred


def test_each_environment_acts_as_its_deployment_would() -> None:
    agent, rollout = played(practice=0.0)
    assert rollout.steer is not None
    assert rollout.steer.tolist() == [[[1.0, 0.0]] * 4] * 8
    logits = agent.policies()["diamond"](rollout.obs[0]).actions
    log_prob = logits.log_softmax(dim=1).gather(1, rollout.action[0, :, None]).squeeze(1)
    torch.testing.assert_close(log_prob, rollout.log_prob[0])


def acted(rollout: Rollout, weights: list[list[float]]) -> Rollout:
    """Let each environment have acted with these expert weights."""
    return replace(rollout, steer=torch.tensor(weights).expand(8, 4, 2))


def test_an_end_is_worth_what_it_is_to_who_acted_and_trains_whom_it_should() -> None:
    agent, rollout = played(bad_reward=-0.5, routes="inferred")
    rollout, chances = ended_at_once(rollout, [[0.75, 0.25], [0.0, 1.0], [0.1, 0.9], [0.6, 0.4]])
    lesson = agent._lesson(acted(rollout, [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]), chances)
    torch.testing.assert_close(lesson.reward[0], torch.tensor([0.75 - 0.125, -0.5, 1.0, 1.0]))
    assert (lesson.reward[1:] == 0).all()
    assert lesson.keep is not None
    everything, ghost_only = [True] * 3, [False, True, False]
    unsure, forbidden, sure, in_doubt = lesson.keep[0].tolist()
    assert unsure == in_doubt == everything
    assert forbidden == everything, "a deployment learns from an end that it should not have reached"
    assert sure == ghost_only


def test_an_episode_trains_all_that_acted_unless_it_is_routed() -> None:
    agent, rollout = played()
    rollout, chances = ended_at_once(rollout, [[0.0, 1.0]] * 4)
    assert agent._lesson(acted(rollout, [[0.5, 0.5]] * 4), chances).keep is None


def test_with_labels_only_nothing_inferred_decides_a_route() -> None:
    agent, rollout = played(routes="label")
    rollout, chances = ended_at_once(rollout, [[0.0, 1.0]] * 4)
    lesson = agent._lesson(acted(rollout, [[0.5, 0.5]] * 4), chances)
    assert lesson.keep is not None
    assert lesson.keep.all()


def test_a_silent_expert_learns_nothing() -> None:
    agent, rollout = played(practice=0.0)
    before = [p.clone() for p in agent.learner.policy.torso.experts["ghost"].parameters()]
    agent.update(rollout)
    after = agent.learner.policy.torso.experts["ghost"].parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_every_deployment_is_practised() -> None:
    env = world(512, outcomes=("diamond", "ghost", "skull"))
    agent = Agent(env.spec, Config(**SMALL, practice=1.0), seed=0, device=CPU)  # type: ignore[arg-type]
    steer = agent.act(env.reset()).steer
    assert steer is not None
    assert len(steer.unique(dim=0)) == 7
    torch.testing.assert_close(steer.sum(dim=1), torch.ones(512))


def test_one_network_that_is_told_acts_as_its_deployment_would_and_is_not_routed(tmp_path: Path) -> None:
    agent, rollout = played(practice=0.0, told=True)
    policies = agent.policies()
    assert {len(policy.torso.experts) for policy in policies.values()} == {1}
    logits = policies["diamond"](rollout.obs[0]).actions
    log_prob = logits.log_softmax(dim=1).gather(1, rollout.action[0, :, None]).squeeze(1)
    torch.testing.assert_close(log_prob, rollout.log_prob[0])
    assert not torch.equal(policies["ghost"](rollout.obs[0]).actions, logits), "it listens to what it is told"
    ended, chances = ended_at_once(rollout, [[1.0, 0.0]] * 4)
    assert agent._lesson(ended, chances).keep is None
    before = [p.clone() for p in agent.learner.policy.parameters()]
    agent.update(rollout)
    assert all(not torch.equal(p, q) for p, q in zip(before, agent.learner.policy.parameters(), strict=True))
    steering.export(policies["ghost"], tmp_path / "told.safetensors")
    loaded = steering.load(tmp_path / "told.safetensors")
    assert torch.equal(loaded(rollout.obs[0]).actions, policies["ghost"](rollout.obs[0]).actions)
