from __future__ import annotations

import pytest
import torch
from helpers import world

from routed_rl.exact import ExactEvaluator
from routed_rl.revalued import Revalued


def test_only_what_an_end_is_worth_changes() -> None:
    plain, other = world(64, seed=3), Revalued(world(64, seed=3), ("ghost",))
    assert (other.spec.target, other.spec.outcome_rewards) == ("ghost", (-1.0, 1.0))
    assert torch.equal(plain.reset(), other.reset())
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        action = torch.randint(4, (64,), generator=generator)
        a, b = plain.step(action), other.step(action)
        assert torch.equal(a.reward, -b.reward)
        assert torch.equal(a.obs, b.obs)
        assert torch.equal(a.outcome, b.outcome)


def test_the_tables_have_the_new_worth_too() -> None:
    env = world(1, rows=3, columns=3)
    both = Revalued(env, ("diamond", "ghost")).model()
    plain = env.model()
    assert both is not None and plain is not None
    assert torch.equal(both.reward, plain.reward.abs())
    nearest = ExactEvaluator(both, horizon=32, discount=0.97).optimum()[0]
    assert nearest > ExactEvaluator(plain, horizon=32, discount=0.97).optimum()[0]


@pytest.mark.parametrize(("good", "words"), [(("dimond",), "'dimond' is none of"), ((), "no outcome is good")])
def test_an_unknown_outcome_is_told(good: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Revalued(world(1), good)
