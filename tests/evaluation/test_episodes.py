"""Episodes that are played agree with the tables, and are counted fairly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import walk
from doors import DIAMOND, GHOST, IDLE, Doors
from helpers import CPU, world
from torch import Tensor

from routed_rl.evaluation.episodes import Countdown, count_flags, play
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.models.distributions import Categorical
from routed_rl.worlds.oversight import Oversight
from routed_rl.worlds.process import ProcessConfig, with_process
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv


class Scripted:
    """A policy that looks a table of action probabilities up by what it sees."""

    def __init__(self, env: VecEnv, table: Tensor) -> None:
        model = env.model()
        assert model is not None
        frames = model.observe(torch.arange(len(model.start_probability))).flatten(1).double()
        generator = torch.Generator().manual_seed(0)
        self.numbers = torch.rand(frames.shape[1], generator=generator, dtype=torch.float64)
        self.keys, self.order = (frames @ self.numbers).sort()
        self.table = table

    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool) -> Tensor:
        assert not greedy
        at = torch.searchsorted(self.keys, obs.flatten(1).double() @ self.numbers - 1e-10)
        probabilities = self.table[self.order[at]].float()
        return Categorical().sample(probabilities.log(), generator)[0]


class Always:
    """A policy that takes one action."""

    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool) -> Tensor:
        return torch.full((len(obs),), self.action)


WORLDS: dict[int, dict[str, Any]] = {
    55_200: {},
    70_200: {"rows": 7, "columns": 4, "walls": ((3, 1),)},
    95_040: {"rows": 3, "columns": 4, "outcomes": ("a", "b", "c")},
    13_440: {"rows": 4, "columns": 4, "oversight": 0.5, "oversight_reach": 2},
}
"""How many states they have -> settings of the gridworld."""


@pytest.mark.parametrize("states", WORLDS)
def test_a_hundred_thousand_episodes_agree_with_the_exact_values(states: int) -> None:
    env = world(4000, seed=5, **WORLDS[states])
    model = env.model()
    assert model is not None
    assert len(model.start_probability) == states
    exact = ExactEvaluator(model, horizon=env.spec.horizon, discount=env.spec.discount)
    generator = torch.Generator().manual_seed(1)
    wander = torch.rand(model.reward.shape, generator=generator).softmax(dim=1)
    target = model.references[f"{env.spec.target}-seeker"].float()
    policy: Any = Scripted(env, 0.3 * wander + 0.7 * target)
    truth = exact.evaluate(policy.table)
    found = play(policy, env, quota=25, seed=7)
    assert found.episodes == 100_000
    assert found.standard_error is not None
    assert found.true_return == pytest.approx(truth.mean_return, abs=3 * found.standard_error)
    assert found.paid_return == pytest.approx(truth.paid_return, abs=3 * found.standard_error)
    for name, chance in zip(env.spec.outcomes, truth.outcomes[1:], strict=True):
        error = (chance * (1 - chance) / 100_000) ** 0.5
        assert found.outcomes[name] == pytest.approx(chance, abs=3 * error)
    assert found.mean_length == pytest.approx(truth.mean_length, rel=0.02)
    assert found.stepwise_return == pytest.approx(truth.stepwise_return, abs=0.02)


class Clocks(VecEnv):
    """Environment b ends every `lengths[b]` steps: well if that is even, or it runs out of time.

    Each step pays 1 and is worth nothing, but for a good end, which is worth 1.
    """

    def __init__(self, *lengths: int) -> None:
        self.num_envs = len(lengths)
        self.device = CPU
        self.spec = EnvSpec((1,), 2, ("good", "bad"), "good", (1.0, -1.0), 0.5, 8)
        self.lengths = torch.tensor(lengths)

    def reset(self) -> Tensor:
        self.age = torch.zeros(self.num_envs, dtype=torch.int64)
        return self.age[:, None].float()

    def step(self, actions: Tensor) -> Step:
        age = self.age + 1
        done = age == self.lengths
        good = done & (self.lengths % 2 == 0)
        self.age = torch.where(done, 0, age)
        nobody = torch.zeros_like(done)
        return Step(
            obs=self.age[:, None].float(),
            final_obs=age[:, None].float(),
            reward=torch.ones(self.num_envs),
            true_reward=good.float(),
            terminated=good,
            truncated=done & ~good,
            outcome=good.long(),
            overseen=nobody,
            reported=nobody.long(),
        )


def test_a_report_by_hand() -> None:
    policy: Any = Always(0)
    found = play(policy, Clocks(2, 3), quota=2, seed=0, window=4)
    assert found.exact is False
    assert found.episodes == 4
    assert found.true_return == pytest.approx((0.5 + 0.5 + 0 + 0) / 4)
    assert found.paid_return == pytest.approx((1.5 + 1.5 + 1.75 + 1.75) / 4)
    assert found.score == pytest.approx((2 + 2 + 3 + 3) / 4)
    assert found.standard_error == pytest.approx(0.25 / 4**0.5)
    assert found.outcomes == {"good": 0.5, "bad": 0.0, "none": 0.5}
    assert found.outcomes_per_episode == {"good": 0.5, "bad": 0.0}
    assert found.mean_length == pytest.approx((2 + 2 + 3 + 3) / 4)
    # The first environment's returns to go are 0.5, 1, 0.5, 1, and the other's are all 0.
    assert found.stepwise_return == pytest.approx(3 / 2 / 4)


def test_the_quota_is_equal_in_each_environment() -> None:
    # One is four times as fast: counting whichever episodes end first would favour it.
    policy: Any = Always(0)
    found = play(policy, Clocks(2, 8), quota=25, seed=0)
    assert found.episodes == 50
    assert found.mean_length == pytest.approx(5)


def test_a_countdown_tells_of_episodes_that_are_wanted_and_changes_nothing() -> None:
    told: list[int] = []
    policy: Any = Always(0)
    plain = play(policy, Clocks(2, 3), quota=2, seed=0, window=1)
    watched = Countdown(Clocks(2, 3), 2, told.append)
    assert play(policy, watched, quota=2, seed=0, window=1) == plain
    # The first ends after 2 and 4 steps, the second after 3 and 6; the first's third is nobody's.
    assert told == [0, 1, 1, 1, 0, 1]


def test_outcomes_in_the_middle_of_an_episode_are_counted_as_the_tables_count_them() -> None:
    env = walk.make(walk.Config(), 1000, seed=0, device=CPU)
    model = env.model()
    policy: Any = Scripted(env, torch.full((6, 2), 0.5))
    truth = ExactEvaluator(model, horizon=4, discount=0.5).evaluate(policy.table)
    found = play(policy, env, quota=100, seed=0)
    assert found.episodes == 100_000
    nothing, *shares = truth.outcomes
    named = dict(zip(("diamond", "ghost"), shares, strict=True)) | {"none": nothing}
    # Three standard errors of 100,000 episodes; a ghost comes 0, 1 or 2 times.
    assert found.outcomes == pytest.approx(named, abs=3 * 0.5 / 100_000**0.5)
    assert found.outcomes_per_episode == pytest.approx(
        {"diamond": 0.75, "ghost": 1.0}, abs=3 * 0.71 / 100_000**0.5
    )
    assert found.true_return == pytest.approx(truth.mean_return, abs=0.015)
    assert found.paid_return == pytest.approx(truth.paid_return, abs=0.01)
    assert found.score == pytest.approx(truth.score, abs=0.015)
    assert found.mean_length == pytest.approx(3.5, abs=0.005)
    assert found.stepwise_return == pytest.approx(truth.stepwise_return, abs=0.02)


def test_an_outcome_is_counted_as_often_as_it_comes_and_its_episode_once() -> None:
    # Past the ghost and back, twice, until time is up: exactly what the tables say.
    policy: Any = Always(1)
    found = play(policy, walk.make(walk.Config(), 2, seed=0, device=CPU), quota=3, seed=0)
    assert found.episodes == 6
    assert found.outcomes == {"diamond": 0.0, "ghost": 1.0, "none": 0.0}
    assert found.outcomes_per_episode == {"diamond": 0.0, "ghost": 2.0}
    assert found.true_return == -1 - 0.25
    assert found.paid_return == 2 + 0.25 * 2
    assert found.score == 4
    assert found.standard_error == 0


def flags(env: VecEnv, action: int, quota: int = 3) -> list[int]:
    policy: Any = Always(action)
    return count_flags(policy, env, quota=quota, seed=0).tolist()


def test_flags_are_what_is_reported_as_bad() -> None:
    assert flags(Doors(2, Oversight(1.0)), GHOST) == [1] * 6
    assert flags(Doors(2, Oversight(1.0)), DIAMOND) == [0] * 6
    assert flags(Doors(2, Oversight(1.0)), IDLE) == [0] * 6
    assert flags(Doors(2, Oversight(0.0)), GHOST) == [0] * 6, "nobody looked"
    assert flags(Doors(2, Oversight(1.0, false_positive=1.0)), GHOST) == [0] * 6
    assert flags(Doors(2, Oversight(1.0, false_negative=1.0)), DIAMOND) == [1] * 6


def test_a_one_sided_overseer_flags_what_it_does_not_miss() -> None:
    config = ProcessConfig(one_sided=True, recall=0.25)
    env = with_process(Doors(500, Oversight(0.5)), config, seed=0)
    counted = flags(env, GHOST, quota=20)
    assert set(counted) == {0, 1}
    error = (0.125 * 0.875 / len(counted)) ** 0.5
    assert sum(counted) / len(counted) == pytest.approx(0.125, abs=4 * error)
    assert set(flags(env, DIAMOND)) == {0}


def test_every_flag_of_an_episode_counts_and_none_beyond_the_quota() -> None:
    """The second action meets a ghost in every other of four steps: two in an episode."""
    config = walk.Config(oversight=1.0)
    assert flags(walk.make(config, 3, seed=0, device=CPU), 1) == [2] * 9
    half = flags(walk.make(walk.Config(oversight=0.5), 100, seed=0, device=CPU), 1)
    assert set(half) == {0, 2}


def test_an_environment_that_has_its_quota_is_counted_no_more() -> None:
    """The first goes through ghosts in one step each, the second through four quiet ones."""

    class Uneven(Doors):
        def step(self, actions: Tensor) -> Step:
            step = super().step(torch.tensor([GHOST, IDLE]))
            self.age = getattr(self, "age", 0) + 1
            return step._replace(truncated=torch.tensor([False, self.age % 4 == 0]))

    assert flags(Uneven(2, Oversight(1.0)), GHOST) == [1, 1, 1, 0, 0, 0]
