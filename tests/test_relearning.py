from __future__ import annotations

import torch
from helpers import world

from routed_rl.evaluation import Evaluator
from routed_rl.policy import Blueprint
from routed_rl.relearning import relearn, updates_until
from routed_rl.revalued import Revalued


def test_a_policy_can_be_taught_the_other_end_and_is_left_as_it_was() -> None:
    def ghosts(num_envs: int, **_: object) -> Revalued:
        return Revalued(world(num_envs, rows=3, columns=3), ("ghost",))

    torch.manual_seed(0)
    policy = Blueprint((4, 3, 3), 4, ("policy",), (32,)).build()
    before = [p.clone() for p in policy.parameters()]
    evaluator = Evaluator(ghosts, seed=0)
    curve = relearn(policy, ghosts(64), evaluator, like=policy, seed=0, updates=(0, 60))
    assert list(curve) == [0, 60]
    assert curve[0] == {
        "reached": evaluator.returns({"": policy})[""]["outcomes"]["ghost"],
        "return": evaluator.returns({"": policy})[""]["return"],
    }
    assert curve[60]["return"] > curve[0]["return"] + 0.2
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))
    fresh = relearn(None, ghosts(64), evaluator, like=policy, seed=1, updates=(0,))
    assert fresh[0] != curve[0]


def test_a_new_head_is_the_fresh_networks_on_the_old_torso() -> None:
    def ghosts(num_envs: int, **_: object) -> Revalued:
        return Revalued(world(num_envs, rows=3, columns=3), ("ghost",))

    torch.manual_seed(1)
    policy = Blueprint((4, 3, 3), 4, ("policy",), (32,)).build()
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias.copy_(torch.tensor([50.0, 0.0, 0.0, 0.0]))  # always up: hardly ever reaches a ghost
    evaluator, env = Evaluator(ghosts, seed=0), ghosts(4)
    stuck = relearn(policy, env, evaluator, like=policy, seed=0, updates=(0,))
    again = relearn(policy, env, evaluator, like=policy, seed=0, updates=(0,), new_head=True)
    fresh = relearn(None, env, evaluator, like=policy, seed=0, updates=(0,))
    assert stuck[0]["reached"] < 0.2 < 0.3 < again[0]["reached"]
    assert again != fresh, "the torso is the old one"


def test_half_is_reached_between_two_looks() -> None:
    curve = {0: {"reached": 0.1}, 10: {"reached": 0.3}, 20: {"reached": 0.7}, 30: {"reached": 0.4}}
    assert updates_until(curve) == 15.0
    assert updates_until(curve, share=0.7) == 20.0
    assert updates_until(curve, share=0.1) == 0.0
    assert updates_until(curve, share=0.8) is None
