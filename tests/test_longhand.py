"""Labels, rewards, advantages and evaluation equal a longhand version, in worlds of many kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import longhand
import pytest
import torch
from helpers import CPU
from hypothesis import given, settings
from hypothesis import strategies as st
from longhand import Moment, Seen
from random_worlds import Move, RandomWorld, World, random_policy, worlds
from torch import Tensor

from routed_rl.algorithms.batch import Batch
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.evaluation.episodes import play
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.registry import Registry
from routed_rl.rollouts import labels
from routed_rl.rollouts.faults import find_faults
from routed_rl.rollouts.rollout import Decision, Experience, Rollout, VisibleRollout, collect

MODULES = {name: Registry().load("agents", name) for name in Registry().names("agents")}
ENVS = 3
OWN: dict[str, dict[str, Any]] = {"absorbing": {"practice": 1.0}}
"""Settings with which agents do more of what is theirs."""
lengths = st.sampled_from([16, 10, 5, 2, 1])
"""Steps of a rollout."""


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True)


def make_agent(name: str, world: World, **changes: Any) -> Any:
    module = MODULES[name]
    config = module.Config(hidden=(8,), batch_size=64, **OWN.get(name, {}), **changes)
    return module.Agent(world.spec, config, seed=0, device=CPU)


# Labels


def random_play(world: World, steps: int) -> Rollout:
    """Play uniformly at random, beginning in the middle of episodes."""
    env = RandomWorld(world, ENVS)
    generator = torch.Generator().manual_seed(0)

    def act(obs: Tensor) -> Decision:
        actions = torch.randint(env.spec.num_actions, (ENVS,), generator=generator)
        return Decision(actions, torch.zeros(ENVS), torch.zeros(ENVS))

    before = collect(env, act, env.reset(), 3)
    return collect(env, act, before.last_obs, steps)


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


def spoiled(rollout: Rollout, world: World) -> Rollout:
    """Replace each true reward and each outcome that nobody saw by another one."""
    outcome = rollout.outcome.clone()
    true_reward = rollout.true_reward.clone()
    kinds = len(world.worth)
    for env in range(rollout.outcome.shape[1]):
        column = longhand.moments(rollout, env)
        for time, (moment, seen) in enumerate(
            zip(column, longhand.see(column, world), strict=True)
        ):
            if seen.true is None:
                true_reward[time, env] += 1 + time
            if not moment.overseen and not world.outcomes_end:
                outcome[time, env] = (moment.outcome + 1 + time % kinds) % (kinds + 1)
            if not moment.overseen and world.outcomes_end and moment.terminated:
                outcome[time, env] = 1 + moment.outcome % kinds
    return replace(rollout, outcome=outcome, true_reward=true_reward)


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
    if hasattr(agent, "model"):  # a poor guess will do
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
        if hasattr(agent, "model"):
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


# Evaluation


@examples(80)
@given(worlds, st.integers(0, 99), st.integers(1, 4))
def test_exact_evaluation_adds_up_every_episode(world: World, seed: int, window: int) -> None:
    policy = random_policy(world, seed)
    exact = ExactEvaluator(
        RandomWorld(world, 1).model(), horizon=world.horizon, discount=world.discount
    )
    table = torch.tensor(policy, dtype=torch.float64)
    found = exact.evaluate(table, window=window)
    expected = {name: value.mean for name, value in longhand.evaluate(world, policy).items()}
    kinds = range(1, len(world.worth) + 1)

    def near(*names: str) -> Any:
        return pytest.approx([expected[name] for name in names], abs=1e-9)

    assert [found.mean_return, exact.mean_return(table)] == near("return", "return")
    assert [found.paid_return, found.score, found.mean_length] == near("paid", "score", "length")
    assert list(found.outcomes) == near("none", *(f"share {kind}" for kind in kinds))
    assert list(found.counts) == near(*(f"count {kind}" for kind in kinds))
    conditions = [(overseen,) * len(world.worth) for overseen in (False, True)]
    assert set(found.by_condition) == set(conditions)
    assert [found.by_condition[name] for name in conditions] == near("unseen", "overseen")
    by_windows = longhand.stepwise(world, policy, window)
    assert found.stepwise_return == pytest.approx(by_windows, abs=1e-9)


class TablePolicy:
    """Acts by a table of action probabilities."""

    def __init__(self, env: RandomWorld, table: Tensor) -> None:
        self._env = env
        self._table = table

    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool) -> Tensor:
        assert not greedy
        rows = self._table[self._env.state_of(obs)]
        return rows.multinomial(1, generator=generator).squeeze(1)


@examples(30)
@given(worlds, st.integers(0, 99))
def test_played_episodes_agree_within_four_standard_errors(world: World, seed: int) -> None:
    policy = random_policy(world, seed)
    env = RandomWorld(world, 256)
    table = torch.tensor(policy, dtype=torch.float64)
    report = play(TablePolicy(env, table), env, quota=8, seed=1)  # type: ignore[arg-type]
    names = env.spec.outcomes
    found = {
        "return": report.true_return,
        "paid": report.paid_return,
        "score": report.score,
        "length": report.mean_length,
        "none": report.outcomes["none"],
    }
    for k, name in enumerate(names):
        found[f"share {k + 1}"] = report.outcomes[name]
        found[f"count {k + 1}"] = report.outcomes_per_episode[name]
    assert report.episodes == 256 * 8
    expected = longhand.evaluate(world, policy)
    for name, value in found.items():
        mean, deviation = expected[name]
        # What happens in hardly any episode may happen in one or two more.
        error = 4 * deviation / math.sqrt(report.episodes) + 2 / report.episodes
        assert abs(value - mean) <= error, name
    assert report.standard_error is not None
    exact_error = expected["return"].deviation / math.sqrt(report.episodes)
    assert report.standard_error == pytest.approx(exact_error, rel=0.3, abs=0.005)


# Hidden stays hidden


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
