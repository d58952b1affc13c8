from __future__ import annotations

import pytest
import torch
from helpers import world
from torch import Tensor, nn

from envs.gridworld import Gridworld
from routed_rl.distributions import Categorical
from routed_rl.evaluation import Evaluator, play
from routed_rl.policy import Blueprint, Policy


class Scripted(nn.Module):
    """A policy that looks a table of action probabilities up by what it sees."""

    def __init__(self, env: Gridworld, table: Tensor) -> None:
        super().__init__()
        model = env.model()
        assert model is not None
        frames = model.observe(torch.arange(len(model.start_weight)))
        self.numbers = torch.rand(frames[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.keys, self.order = (frames.flatten(1).double() @ self.numbers).sort()
        self.table = table

    def act(self, obs: Tensor, generator: torch.Generator, *, greedy: bool) -> Tensor:
        assert not greedy
        at = torch.searchsorted(self.keys, obs.flatten(1).double() @ self.numbers - 1e-10)
        return Categorical().sample(self.table[self.order[at]].float().log(), generator)[0]


WORLDS: dict[int, dict[str, object]] = {
    55_200: {},
    70_200: {"rows": 7, "columns": 4, "walls": ((3, 1),)},
    95_040: {"rows": 3, "columns": 4, "outcomes": ("a", "b", "c")},
    13_440: {"rows": 4, "columns": 4, "oversight": 0.5, "oversight_reach": 2},
}


@pytest.mark.parametrize("states", WORLDS)
def test_a_hundred_thousand_episodes_agree_with_the_exact_values(states: int) -> None:
    settings = WORLDS[states]
    env = world(1000, seed=5, **settings)
    evaluator = Evaluator(lambda num_envs, oversight=None: world(num_envs, **settings), seed=0)
    exact = evaluator._exact
    assert exact is not None
    assert len(exact.model.start_weight) == states
    generator = torch.Generator().manual_seed(1)
    wander = torch.rand(exact.model.reward.shape, generator=generator).softmax(dim=1)
    target = exact.model.references[f"{env.spec.target}-seeker"].float()
    policy = Scripted(env, 0.3 * wander + 0.7 * target)
    truth = exact.evaluate(policy.table)
    found, stepwise = play(policy, env, quota=100, seed=7)  # type: ignore[arg-type]
    assert found["episodes"] == 100_000
    assert found["return"] == pytest.approx(truth.mean_return, abs=3 * found["standard_error"])
    for name, chance in zip(env.spec.outcomes, truth.outcomes[1:], strict=True):
        error = (chance * (1 - chance) / 100_000) ** 0.5
        assert found["outcomes"][name] == pytest.approx(chance, abs=3 * error)
    assert found["mean_length"] == pytest.approx(truth.mean_length, rel=0.02)
    assert stepwise == pytest.approx(truth.stepwise_return, abs=0.02)  # 1000 windows


def small_policy(shape: tuple[int, ...]) -> Policy:
    torch.manual_seed(0)
    return Blueprint(shape, 4, ("diamond", "ghost"), (8,), gate=True).build()


def test_the_quota_is_equal_in_each_environment() -> None:
    # One environment in four is four times as fast; counting whichever episodes end first would favour it.
    env = world(4, rows=1, columns=3, horizon=4)
    found, _ = play(small_policy(env.spec.obs_shape), env, quota=25, seed=0)
    assert found["episodes"] == 100


def test_reports_have_the_fields_of_result_json_exact_or_not() -> None:
    def make_env(num_envs: int, *, oversight: float | None = None) -> Gridworld:
        return world(num_envs, rows=3, columns=3, oversight=0.1 if oversight is None else oversight)

    policies = {"mixture": small_policy((4, 3, 3))}
    common = {"return", "exact", "unwatched", "greedy", "stepwise_return", "outcomes", "mean_length", "by_oversight"}
    exact = Evaluator(make_env, seed=0).full(policies)["mixture"]
    sampled = Evaluator(make_env, seed=0, sampled=True, episodes=2000).full(policies)["mixture"]
    assert set(exact) == common
    assert set(sampled) == common | {"standard_error", "episodes"}
    assert list(exact["by_oversight"]) == ["none", "diamond", "ghost", "diamond+ghost"]
    assert list(sampled["by_oversight"]) == ["none", "all"]
    assert exact["unwatched"] == exact["by_oversight"]["none"]
    assert sum(exact["outcomes"].values()) == pytest.approx(1)
    for name in ("return", "greedy"):
        assert sampled[name] == pytest.approx(exact[name], abs=0.1)


def test_policies_meet_the_same_episodes() -> None:
    evaluator = Evaluator(lambda n, oversight=None: world(n, spurious_oversight=0.1), seed=3, episodes=64)
    policy = small_policy((4, 5, 5))
    one, other = (evaluator.returns({"p": policy})["p"] for _ in range(2))
    assert one == other
    assert one["exact"] is False


def test_references_are_the_best_and_the_blind() -> None:
    references = Evaluator(lambda n, oversight=None: world(n), seed=0).references()
    assert references == pytest.approx({"best possible": 0.9317, "diamond-seeker": 0.7432}, abs=1e-4)
