"""Labels, rewards, advantages and routes equal a longhand version, in worlds of many kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import longhand
import pytest
import torch
from examined import ENVS, examples, lengths, make_agent, random_play
from hypothesis import given
from hypothesis import strategies as st
from longhand import Moment, Seen
from random_worlds import RandomWorld, World, worlds
from torch import Tensor

from routed_rl.algorithms.batch import Batch
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import labels
from routed_rl.rollouts.faults import find_faults
from routed_rl.rollouts.rollout import Experience, Rollout, collect

# Labels


@examples(120)
@given(worlds, lengths)
def test_labels_routes_and_what_is_hidden(world: World, steps: int) -> None:
    rollout = random_play(world, steps)
    assert not any(bool(fault.wrong.any()) for fault in find_faults(rollout, world.spec))
    visible = labels.hide(rollout, world.spec)
    kinds = len(world.worth)
    routes = labels.routes(visible.label, kinds)
    known = labels.known_segments(visible)
    credited = labels.credit_episodes(visible, world.worth)
    for env in range(ENVS):
        column = longhand.moments(rollout, env)
        seen = longhand.see(column, world)
        true = [None if math.isnan(x) else x for x in visible.true_reward[:, env].tolist()]
        assert visible.label[:, env].tolist() == [step.label for step in seen]
        assert true == [step.true for step in seen]
        assert visible.reported[:, env].tolist() == [moment.reported for moment in column]
        assert known[:, env].tolist() == [step.all_known for step in seen]
        assert routes[:, env].tolist() == [longhand.route(step.label, kinds) for step in seen]
        ends = [time for time, end in enumerate(visible.segment_end[:, env].tolist()) if end]
        last = [segment[-1] for segment in longhand.segments(column)]
        assert ends == [time for time in last if seen[time].label != labels.Label.RUNNING]
        choices = longhand.credited(column, world)
        assert all(credited[time, env].item() in choices[time] for time in range(steps))
        for episode in longhand.episodes(column):
            if len(choices[episode[0]]) > 1:  # of equally bad ones any, but one for all steps
                assert len({credited[time, env].item() for time in episode}) == 1


# Advantages


@dataclass(frozen=True)
class View:
    """What an agent may look at when it judges one step."""

    agent: Any
    world: World
    moment: Moment
    seen: Seen
    guess: list[float]  # K, what its model expects of the frame that the step led to
    allowed: list[bool]  # K, the outcomes that whoever acted may seek

    @property
    def shown(self) -> float:
        """The true reward where it is known, else 0."""
        return 0.0 if self.seen.true is None else self.seen.true

    def expect(self, values: Sequence[float]) -> float:
        """Return what a step is worth if outcomes are worth `values`, as far as can be known."""
        if self.moment.overseen:
            return values[self.moment.reported - 1] if self.moment.reported > 0 else 0.0
        if self.world.outcomes_end and not self.moment.terminated:
            return 0.0  # it is evident that nothing happened
        return sum(chance * value for chance, value in zip(self.guess, values, strict=True))


def naive(view: View) -> float:
    reported = view.moment.reported
    bad = reported > 0 and view.world.worth[reported - 1] < 0
    return view.moment.paid - (view.agent.config.penalty if bad else 0)


def reward_model(view: View) -> float:
    worth = view.world.worth
    if not view.world.outcomes_end:
        return view.moment.paid + view.expect(worth)
    if not view.moment.terminated:
        return view.shown
    return view.expect([view.agent.config.bad_reward if x < 0 else x for x in worth])


def absorbing(view: View) -> float:
    bad = view.agent.config.bad_reward
    if view.world.outcomes_end:
        if not view.moment.terminated:
            return view.moment.paid
        return view.expect([1 if allowed else bad for allowed in view.allowed])
    costs = []
    for worth, allowed in zip(view.world.worth, view.allowed, strict=True):
        cost = worth if worth < 0 else bad
        costs.append(0.0 if allowed else cost)
    return view.moment.paid + view.expect(costs)


REWARDS: dict[str, Callable[[View], float]] = {
    "naive": naive,
    "seen_only": lambda view: view.shown,
    "filtered": lambda view: view.shown,
    "reward_model": reward_model,
    "routed": lambda view: view.moment.paid,
    "absorbing": absorbing,
    "oracle": lambda view: view.moment.true,
}


def learn(agent: Any, world: World, steps: int) -> tuple[Rollout, Batch]:
    """Let an agent make samples of its second rollout, with networks that stay as they were."""
    env = RandomWorld(world, ENVS)
    batches: list[Batch] = []
    if getattr(agent, "model", None) is not None:  # a poor guess will do
        agent.model.config = replace(agent.model.config, steps=2, batch_size=16)

    def keep(rollout: Experience, signal: TrainingSignal) -> dict[str, Tensor]:
        batches.append(agent.learner.prepare(rollout, signal))
        return {}

    agent.learner.update = keep
    obs = env.reset()
    for _ in range(2):
        rollout = collect(env, agent.act, obs, steps)
        obs = rollout.last_obs
        agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec))
    return rollout, batches[-1]


def judge(agent: Any, world: World, rollout: Rollout, env: int, reward: Any) -> list[float]:
    """Return the reward of each step of an environment, as an agent sees it."""
    column = longhand.moments(rollout, env)
    rewards = []
    for time, seen in enumerate(longhand.see(column, world)):
        guess, allowed = [], []
        if getattr(agent, "model", None) is not None:
            guess = agent.model.probabilities(rollout.final_obs[time, env][None])[0].tolist()
        if rollout.expert_weights is not None:
            allowed = (rollout.expert_weights[time, env] > 0).tolist()
        rewards.append(reward(View(agent, world, column[time], seen, guess, allowed)))
    return rewards


@torch.no_grad()
def followers(agent: Any, rollout: Rollout, env: int) -> list[float]:
    """Say what the critic expects behind each step of an environment; 0 where nothing follows."""

    def value(obs: Tensor) -> float:
        weights = rollout.expert_weights
        told = None if weights is None else weights[time, env][None]
        return float(agent.learner.value(obs[None], told))

    found = []
    last = len(rollout.reward) - 1
    for time in range(last + 1):
        cut = bool(rollout.truncated[time, env])
        if rollout.terminated[time, env]:
            found.append(0.0)
        elif cut or time == last:
            frame = rollout.final_obs[time, env]  # before any reset
            found.append(value(frame) if agent.config.bootstrap else 0.0)
        else:
            found.append(value(rollout.obs[time + 1, env]))
    return found


@pytest.mark.parametrize("name", REWARDS)
@examples(30)
@given(
    worlds,
    lengths,
    st.sampled_from(["ppo", "reinforce"]),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
def test_rewards_advantages_and_targets_of_each_agent(
    name: str, world: World, steps: int, algorithm: str, bootstrap: bool, gae_lambda: float
) -> None:
    agent = make_agent(name, world, algorithm=algorithm, bootstrap=bootstrap, gae_lambda=gae_lambda)
    rollout, batch = learn(agent, world, steps)
    advantage = torch.zeros(steps, ENVS, dtype=torch.float64)
    weight = torch.ones(steps, ENVS, dtype=torch.float64)
    for env in range(ENVS):
        column = longhand.moments(rollout, env)
        found = longhand.advantages(
            judge(agent, world, rollout, env, REWARDS[name]),
            rollout.value[:, env].tolist(),
            followers(agent, rollout, env),
            [moment.done for moment in column],
            discount=world.discount,
            gae_lambda=gae_lambda if algorithm == "ppo" else 1.0,
        )
        advantage[:, env] = torch.tensor(found)
        if name == "filtered":
            known = [seen.all_known for seen in longhand.see(column, world)]
            weight[:, env] = torch.tensor(known)
    assert batch.weight.tolist() == weight.flatten().tolist()
    assert_near(batch.value_target, advantage + rollout.value)
    if algorithm == "ppo":
        share = weight / weight.sum()
        advantage = advantage - (share * advantage).sum()
        deviation = (share * advantage.square()).sum().sqrt()
        if not deviation > 0.01:  # nothing is known, or all of it is equal but for rounding
            return
        advantage = advantage / deviation
    assert_near(batch.advantage * batch.weight, advantage * weight)


def assert_near(samples: Tensor, expected: Tensor) -> None:
    """Compare (N,) samples with (T, B) numbers."""
    torch.testing.assert_close(samples, expected.flatten().float(), rtol=1e-4, atol=1e-4)


@examples(30)
@given(worlds, lengths, st.sampled_from(["segment", "episode"]))
def test_what_each_step_trains_in_the_routed_agent(world: World, steps: int, credit: str) -> None:
    agent = make_agent("routed", world, credit=credit)
    rollout, batch = learn(agent, world, steps)
    kinds = len(world.worth)
    assert batch.inputs.grad_mask is not None
    assert batch.gate_target is not None
    trained = batch.inputs.grad_mask[batch.input_index].view(steps, ENVS, kinds + 1)
    chosen = batch.gate_target.view(steps, ENVS).clamp(min=-1)
    for env in range(ENVS):
        column = longhand.moments(rollout, env)
        choices = [{seen.label} for seen in longhand.see(column, world)]
        if credit == "episode":
            choices = longhand.credited(column, world)
        for time, known in enumerate(choices):
            pair = (trained[time, env].tolist(), chosen[time, env].item())
            assert pair in [
                (longhand.route(label, kinds), label - 1 if label > 0 else -1) for label in known
            ]
