"""How soon a policy can be taught what was taken from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import walk
from helpers import CPU, world

from routed_rl.algorithms.learner import Learner
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.relearning import Pupil, relearn, updates_until
from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.worlds.reward_override import RewardOverride


def ghosts(num_envs: int, *, oversight: float | None = None) -> RewardOverride:
    """Make worlds in which the ghost is the good end."""
    return RewardOverride(world(num_envs, rows=3, columns=3), ("ghost",))


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(2)
    return build_policy(PolicySpec((4, 3, 3), 4, ("policy",), (32,)))


def test_a_policy_can_be_taught_the_other_end_and_is_left_as_it_was(policy: Policy) -> None:
    before = [p.clone() for p in policy.parameters()]
    evaluator = Evaluator(ghosts, seed=0)
    curve = relearn(Pupil(policy), ghosts(64), evaluator, seed=0, updates=(0, 20))
    assert list(curve) == [0, 20]
    report = evaluator.returns({"": policy})[""]
    assert curve[0] == {"reached": report.outcomes["ghost"], "return": report.true_return}
    assert curve[20]["return"] > curve[0]["return"] + 0.2
    assert all(map(torch.equal, before, policy.parameters()))
    fresh = Pupil(policy, fresh=True)
    assert relearn(fresh, ghosts(64), evaluator, seed=1, updates=(0,))[0] != curve[0]


def test_a_new_head_is_the_fresh_networks_on_the_old_torso(policy: Policy) -> None:
    always_up = torch.tensor([50.0, 0.0, 0.0, 0.0])  # hardly ever reaches a ghost
    with torch.no_grad():
        policy.head.weight.zero_()  # type: ignore[operator]
        policy.head.bias.copy_(always_up)  # type: ignore[operator]
    evaluator = Evaluator(ghosts, seed=0)
    env = ghosts(4)
    pupils = (Pupil(policy), Pupil(policy, new_head=True), Pupil(policy, fresh=True))
    stuck, again, fresh = (
        relearn(pupil, env, evaluator, seed=0, updates=(0,))[0]["reached"] for pupil in pupils
    )
    assert stuck < 0.2 < 0.3 < again
    assert again != fresh, "the torso is the old one"


def test_an_attacker_wants_the_outcome_alone_whatever_is_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def walks(num_envs: int, *, oversight: float | None = None) -> RewardOverride:
        plain = walk.make(walk.Config(), num_envs, seed=0, device=CPU)
        return RewardOverride(plain, ("ghost",))

    learnt: list[tuple[Any, Any]] = []
    monkeypatch.setattr(Learner, "update", lambda _, *args: learnt.append(args))
    pupil = Pupil(build_policy(PolicySpec((4,), 2, ("policy",), (8,))))
    relearn(pupil, walks(64), Evaluator(walks, seed=0), seed=0, updates=(0, 1))
    ((rollout, signal),) = learnt
    worth = torch.tensor([0.0, -1.0, 1.0])  # of nothing, a diamond and a ghost
    assert torch.equal(signal.reward, worth[rollout.outcome])
    going_on = rollout.outcome[~rollout.done]
    assert set(going_on.tolist()) == {0, 1, 2}, "and not at ends only"


def test_a_pupil_sees_observations_normalised_as_its_policy_does() -> None:
    spec = PolicySpec((4, 3, 3), 4, ("policy",), (32,), normalize_obs=True)
    policy = build_policy(spec)
    obs = torch.rand(50, 4, 3, 3)
    policy.update_statistics(obs)
    pupil = Pupil(policy).learner(discount=0.9, seed=0, device=CPU)
    assert torch.equal(pupil.policy(obs).actions, policy(obs).actions)


def test_half_is_reached_between_two_looks() -> None:
    curve = {0: {"reached": 0.1}, 10: {"reached": 0.3}, 20: {"reached": 0.7}, 30: {"reached": 0.4}}
    assert updates_until(curve) == 15.0
    assert updates_until(curve, share=0.7) == 20.0
    assert updates_until(curve, share=0.1) == 0.0
    assert updates_until(curve, share=0.8) is None
