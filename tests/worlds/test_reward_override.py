from __future__ import annotations

import pytest
import torch
from helpers import CPU, OPEN, world
from torch import Tensor

from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.reward_override import RewardOverride
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv


def test_only_the_true_reward_of_an_end_changes() -> None:
    plain = world(64, seed=3)
    other = RewardOverride(world(64, seed=3), ("ghost",))
    assert (other.spec.target, other.spec.outcome_rewards) == ("ghost", (-1.0, 1.0))
    assert torch.equal(plain.reset(), other.reset())
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        action = torch.randint(4, (64,), generator=generator)
        before = plain.step(action)
        after = other.step(action)
        assert torch.equal(before.true_reward, -after.true_reward)
        assert after.true_reward.any() or not after.terminated.any()
        unchanged = set(Step._fields) - {"true_reward"}
        assert all(torch.equal(getattr(before, name), getattr(after, name)) for name in unchanged)


def test_the_tables_have_the_new_rewards_too() -> None:
    env = world(1, rows=3, columns=3)
    both = RewardOverride(env, ("diamond", "ghost")).model()
    plain = env.model()
    assert both is not None and plain is not None
    assert torch.equal(both.true_reward, plain.true_reward.abs())
    assert torch.equal(both.reward, plain.reward)
    nearest = ExactEvaluator(both, horizon=32, discount=0.97).optimum()[0]
    assert nearest > ExactEvaluator(plain, horizon=32, discount=0.97).optimum()[0]


class Stream(VecEnv):
    """Three environments that go on: nothing, a diamond and a ghost happen, and 10 is paid.

    The true reward is its own: 7, 8 and 9.
    """

    spec = OPEN
    num_envs = 3
    device = CPU

    def reset(self) -> Tensor:
        return torch.zeros(3, 1)

    def step(self, actions: Tensor) -> Step:
        never = torch.zeros(3, dtype=torch.bool)
        outcome = torch.arange(3)
        return Step(
            obs=self.reset(),
            final_obs=self.reset(),
            reward=torch.full((3,), 10.0),
            true_reward=torch.tensor([7.0, 8.0, 9.0]),
            terminated=never,
            truncated=never,
            outcome=outcome,
            overseen=~never,
            reported=outcome,
        )

    def model(self) -> TabularMDP:
        """One state with three actions, which do the same."""
        outcome = torch.arange(3)[None]
        return TabularMDP(
            next_state=torch.zeros(1, 3, dtype=torch.int64),
            outcome=outcome,
            terminates=torch.zeros(1, 3, dtype=torch.bool),
            reward=torch.full((1, 3), 10.0),
            true_reward=torch.tensor([[7.0, 8.0, 9.0]]),
            start_probability=torch.ones(1, dtype=torch.float64),
            condition_probability=torch.ones(1, dtype=torch.float64),
            overseen_ends=torch.zeros(1, 2, dtype=torch.bool),
            observe=lambda states: states[:, None].float(),
        )


@pytest.mark.parametrize(
    ("good", "rewards", "target", "true_reward"),
    [
        # Diamonds were worth 0 and ghosts -3 beside what is paid: what changes is the difference.
        (("diamond",), (0.0, -1.0), "diamond", [7, 8, 9 + 2]),
        (("ghost",), (-1.0, 0.0), "ghost", [7, 8 - 1, 9 + 3]),
        (("ghost", "diamond"), (0.0, 0.0), "diamond", [7, 8, 9 + 3]),
    ],
)
def test_where_outcomes_end_nothing_a_good_one_is_worth_nothing_beside_what_is_paid(
    good: tuple[str, ...], rewards: tuple[float, ...], target: str, true_reward: list[float]
) -> None:
    other = RewardOverride(Stream(), good)
    assert (other.spec.outcome_rewards, other.spec.target) == (rewards, target)
    step = other.step(torch.zeros(3, dtype=torch.int64))
    assert step.true_reward.tolist() == true_reward
    assert step.reward.tolist() == [10, 10, 10]
    model = other.model()
    assert model is not None
    assert model.true_reward.tolist() == [true_reward]
    assert model.reward.tolist() == [[10, 10, 10]]


@pytest.mark.parametrize(
    ("good", "words"), [(("dimond",), "'dimond' is none of"), ((), "no outcome is good")]
)
def test_an_unknown_outcome_is_told(good: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RewardOverride(world(1), good)
