"""What the absorbing agent makes of a rollout, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from helpers import CPU, world
from torch import Tensor

from agents.absorbing import Agent, Config
from routed_rl import labels
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


def test_half_of_the_environments_act_as_the_deployed_policy() -> None:
    agent, rollout = played(steered=0.5)
    assert rollout.steer is not None
    assert rollout.steer[:, :2].tolist() == [[[1.0, 0.0]] * 2] * 8
    assert rollout.steer[:, 2:].isnan().all()
    logits = agent.policies()["diamond"](rollout.obs[0, :2]).actions
    log_prob = logits.log_softmax(dim=1).gather(1, rollout.action[0, :2, None]).squeeze(1)
    torch.testing.assert_close(log_prob, rollout.log_prob[0, :2])


def test_an_end_is_worth_what_it_is_to_who_acts_and_routes_follow_what_is_inferred() -> None:
    agent, rollout = played(steered=0.5, bad_reward=-0.5)
    rollout, chances = ended_at_once(rollout, [[0.75, 0.25], [0.0, 1.0], [0.1, 0.9], [0.6, 0.4]])
    lesson = agent._lesson(rollout, chances)
    torch.testing.assert_close(lesson.reward[0], torch.tensor([0.75 - 0.125, -0.5, 1.0, 1.0]))
    assert (lesson.reward[1:] == 0).all()
    assert lesson.keep is not None and lesson.expert is not None
    everything, ghost_only = [True] * 3, [False, True, False]
    assert lesson.keep[0].tolist() == [everything, everything, ghost_only, everything]
    assert lesson.expert[0].tolist() == [-1, -1, 1, -1]


def test_with_labels_only_nothing_inferred_decides_a_route() -> None:
    agent, rollout = played(routes="label")
    rollout, chances = ended_at_once(rollout, [[0.0, 1.0]] * 4)
    lesson = agent._lesson(rollout, chances)
    assert lesson.keep is not None and lesson.keep.all()


def test_every_profile_is_practised() -> None:
    env = world(512, outcomes=("diamond", "ghost", "skull"))
    agent = Agent(env.spec, Config(**SMALL, profiles="all", steered=1.0), seed=0, device=CPU)  # type: ignore[arg-type]
    steer = agent.act(env.reset()).steer
    assert steer is not None
    assert len(steer.unique(dim=0)) == 7
    torch.testing.assert_close(steer.sum(dim=1), torch.ones(512))
