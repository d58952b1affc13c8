"""What the absorbing agent makes of a rollout, computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, OPEN, copies, moved, two_open_episodes, world
from torch import Tensor

from routed_rl.agents.absorbing import Agent, Config
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.export import export, load_policy
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout, collect
from routed_rl.worlds.outcomes import Label

SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 64, "rollout_steps": 8}
EVEN = [[0.5, 0.5]] * 4


def played(**settings: Any) -> tuple[Agent, VisibleRollout]:
    """Let an agent play eight steps of four environments in which nothing is overseen."""
    env = world(4, oversight=0.0)
    agent = Agent(env.spec, Config(**SMALL | settings), seed=0, device=CPU)
    return agent, labels.hide(collect(env, agent.act, env.reset(), 8), env.spec)


def ended_at_once(rollout: VisibleRollout, weights: list[list[float]]) -> VisibleRollout:
    """Let every episode end in the first step, unseen, each acted in with these expert weights."""
    terminated = torch.zeros_like(rollout.terminated)
    terminated[0] = True
    return replace(
        rollout,
        reward=terminated.float(),
        terminated=terminated,
        truncated=torch.zeros_like(terminated),
        label=torch.where(terminated, int(Label.UNKNOWN), int(Label.RUNNING)),
        expert_weights=torch.tensor(weights).expand(8, 4, 2),
    )


def signal_of(
    agent: Agent, rollout: VisibleRollout, probabilities: list[list[float]]
) -> TrainingSignal:
    """Return what the learner gets if the ends in the first step have these probabilities."""
    inferred = torch.zeros(*rollout.terminated.shape, 2)
    inferred[0] = torch.tensor(probabilities)
    return signal_with(agent, rollout, inferred)


def signal_with(agent: Agent, rollout: VisibleRollout, inferred: Tensor) -> TrainingSignal:
    """Return what the learner gets if these probabilities (T, B, 2) are inferred."""
    caught: list[TrainingSignal] = []

    def update(_: VisibleRollout, signal: TrainingSignal) -> dict[str, Tensor]:
        caught.append(signal)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent.model, "infer", lambda _: inferred)
        patch.setattr(agent.learner, "update", update)
        agent.update(rollout)
    return caught[0]


def log_prob_of(agent: Agent, rollout: VisibleRollout, policy: str) -> Tensor:
    """Compute the log-probabilities of the first actions under one of the agent's policies."""
    logits = agent.policies()[policy](rollout.obs[0]).actions
    return logits.log_softmax(dim=1).gather(1, rollout.action[0, :, None]).squeeze(1)


def test_each_environment_acts_as_its_deployment_would() -> None:
    agent, rollout = played(practice=0.0)
    assert rollout.expert_weights is not None
    assert rollout.expert_weights.tolist() == [[[1.0, 0.0]] * 4] * 8
    torch.testing.assert_close(log_prob_of(agent, rollout, "diamond"), rollout.log_prob[0])


def test_an_end_has_its_value_to_who_acted_and_trains_whom_it_should() -> None:
    agent, rollout = played(bad_reward=-0.5, routes="inferred")
    rollout = ended_at_once(rollout, [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    signal = signal_of(agent, rollout, [[0.75, 0.25], [0.0, 1.0], [0.1, 0.9], [0.6, 0.4]])
    torch.testing.assert_close(signal.reward[0], torch.tensor([0.75 - 0.125, -0.5, 1.0, 1.0]))
    assert (signal.reward[1:] == 0).all()
    assert signal.grad_mask is not None
    unsure, forbidden, sure, in_doubt = signal.grad_mask[0].tolist()
    everything = [True] * 3
    assert unsure == in_doubt == everything
    assert forbidden == everything, (
        "a deployment learns from an end that it should not have reached"
    )
    assert sure == [False, True, False], "the ghost's expert only"


def test_an_episode_trains_all_that_acted_unless_it_is_routed() -> None:
    agent, rollout = played()
    rollout = ended_at_once(rollout, [[1.0, 0.0], *EVEN[1:]])
    assert signal_of(agent, rollout, [[0.0, 1.0]] * 4).grad_mask is None
    assert agent.grad_mask is not None
    assert agent.grad_mask[0].tolist() == [[True, False, True], *[[True] * 3] * 3]


def test_with_labels_only_nothing_inferred_decides_a_route() -> None:
    agent, rollout = played(routes="label")
    signal = signal_of(agent, ended_at_once(rollout, EVEN), [[0.0, 1.0]] * 4)
    assert signal.grad_mask is not None
    assert signal.grad_mask.all()


def test_a_silent_expert_learns_nothing() -> None:
    agent, rollout = played(practice=0.0)
    experts = agent.learner.policy.torso.experts
    before = {name: copies(expert) for name, expert in experts.items()}
    agent.update(rollout)
    assert not any(moved(experts["ghost"], before["ghost"]))
    assert any(moved(experts["diamond"], before["diamond"]))


def test_every_deployment_is_practised() -> None:
    env = world(512, outcomes=("diamond", "ghost", "skull"))
    agent = Agent(env.spec, Config(**SMALL, practice=1.0), seed=0, device=CPU)
    expert_weights = agent.act(env.reset()).expert_weights
    assert expert_weights is not None
    assert len(expert_weights.unique(dim=0)) == 7
    torch.testing.assert_close(expert_weights.sum(dim=1), torch.ones(512))


def test_one_conditioned_network_acts_as_its_deployment_would_and_is_not_routed(
    tmp_path: Path,
) -> None:
    agent, rollout = played(practice=0.0, conditioned=True)
    policies = agent.policies()
    assert {len(policy.torso.experts) for policy in policies.values()} == {1}
    torch.testing.assert_close(log_prob_of(agent, rollout, "diamond"), rollout.log_prob[0])
    obs = rollout.obs[0]
    ghost = policies["ghost"]
    assert not torch.equal(ghost(obs).actions, policies["diamond"](obs).actions), (
        "it listens to what it is told"
    )
    assert signal_of(agent, ended_at_once(rollout, EVEN), [[1.0, 0.0]] * 4).grad_mask is None
    before = copies(agent.learner.policy)
    agent.update(rollout)
    assert all(moved(agent.learner.policy, before))
    export(ghost, tmp_path / "ghost.safetensors")
    loaded = load_policy(tmp_path / "ghost.safetensors")
    assert torch.equal(loaded(obs).actions, ghost(obs).actions)


def open_signal(weights: list[float], **settings: Any) -> TrainingSignal:
    """Let both environments of `two_open_episodes` act with these expert weights.

    Of the second, in which nothing is seen, a diamond is inferred with 0.75, a ghost with 0.25.
    """
    agent = Agent(OPEN, Config(**SMALL | settings), seed=0, device=CPU)
    rollout = labels.hide(two_open_episodes(), OPEN)
    rollout = replace(rollout, expert_weights=torch.tensor(weights).expand(5, 2, 2))
    certain = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    inferred = torch.stack((certain, torch.tensor([0.75, 0.25]).expand(5, 2)), dim=1)
    return signal_with(agent, rollout, inferred)


@pytest.mark.parametrize(
    ("weights", "first", "second"),
    [
        # Step t pays t + 1. A ghost costs 3 where it is not allowed, as it truly does ...
        ([1.0, 0.0], [1, 2 - 3, 3, 4, 5], -0.25 * 3),
        # ... and a diamond, which is not bad in itself, costs bad_reward, here 0.5.
        ([0.0, 1.0], [1, 2, 3 - 0.5, 4, 5], -0.75 * 0.5),
        ([0.5, 0.5], [1, 2, 3, 4, 5], 0.0),
    ],
)
def test_where_outcomes_end_nothing_what_is_not_allowed_costs_something_of_what_is_paid(
    weights: list[float], first: list[float], second: float
) -> None:
    signal = open_signal(weights, bad_reward=-0.5)
    assert signal.reward[:, 0].tolist() == first
    torch.testing.assert_close(signal.reward[:, 1], torch.arange(1.0, 6.0) + second)
    assert signal.grad_mask is None


def test_there_a_report_or_a_sure_guess_routes_the_steps_that_led_to_it() -> None:
    everything, diamond, ghost = [True] * 3, [True, False, False], [False, True, False]
    by_label = open_signal([0.5, 0.5], routes="label").grad_mask
    assert by_label is not None
    assert by_label[:, 0].tolist() == [ghost, ghost, diamond, everything, everything]
    assert by_label[:, 1].tolist() == [everything] * 5
    inferred = open_signal([0.5, 0.5], routes="inferred", confidence=0.7).grad_mask
    assert inferred is not None
    assert inferred[:, 0].tolist() == [ghost, ghost, diamond, everything, everything]
    assert inferred[:, 1].tolist() == [diamond] * 5, "0.75 is sure enough"
    unsure = open_signal([0.5, 0.5], routes="inferred", confidence=0.8).grad_mask
    assert unsure is not None
    assert unsure[:, 1].tolist() == [everything] * 5
    alone = open_signal([1.0, 0.0], routes="label").grad_mask
    assert alone is not None
    assert alone[:, 0].tolist() == [everything, everything, diamond, everything, everything], (
        "a ghost was not allowed"
    )
