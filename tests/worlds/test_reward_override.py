from __future__ import annotations

import pytest
import torch
from helpers import world

from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.reward_override import RewardOverride


def test_only_the_reward_of_an_end_changes() -> None:
    plain = world(64, seed=3)
    other = RewardOverride(world(64, seed=3), ("ghost",))
    assert (other.spec.target, other.spec.outcome_rewards) == ("ghost", (-1.0, 1.0))
    assert torch.equal(plain.reset(), other.reset())
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        action = torch.randint(4, (64,), generator=generator)
        before = plain.step(action)
        after = other.step(action)
        assert torch.equal(before.reward, -after.reward)
        assert torch.equal(before.obs, after.obs)
        assert torch.equal(before.outcome, after.outcome)


def test_the_tables_have_the_new_rewards_too() -> None:
    env = world(1, rows=3, columns=3)
    both = RewardOverride(env, ("diamond", "ghost")).model()
    plain = env.model()
    assert both is not None and plain is not None
    assert torch.equal(both.reward, plain.reward.abs())
    nearest = ExactEvaluator(both, horizon=32, discount=0.97).optimum()[0]
    assert nearest > ExactEvaluator(plain, horizon=32, discount=0.97).optimum()[0]


@pytest.mark.parametrize(
    ("good", "words"), [(("dimond",), "'dimond' is none of"), ((), "no outcome is good")]
)
def test_an_unknown_outcome_is_told(good: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RewardOverride(world(1), good)
