"""Policies of every kind: numbered or continuous actions, rows of numbers or pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import CPU, random_actions
from torch import Tensor

from routed_rl import steering
from routed_rl.env import EnvSpec, Step
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Blueprint
from routed_rl.rollout import collect

EXPERTS = ("good", "bad")
KINDS = [
    Blueprint((5,), 3, EXPERTS, (8,), gate=True, continuous=True),
    Blueprint((3, 36, 40), 3, EXPERTS, (8,), gate=True, image=True),
    Blueprint((3, 36, 40), 2, EXPERTS, (8,), gate=True, image=True, continuous=True, dropped_plane=2),
]


class Noise:
    """Shows noise, and ends nothing."""

    num_envs, device = 6, CPU

    def __init__(self, blueprint: Blueprint) -> None:
        self.spec = EnvSpec(
            blueprint.obs_shape, blueprint.num_actions, EXPERTS, "good", (1.0, -1.0), 0.9, 10, None,
            blueprint.continuous, blueprint.image,
        )  # fmt: skip

    def reset(self) -> Tensor:
        return torch.rand(6, *self.spec.obs_shape)

    def step(self, actions: Tensor) -> Step:
        example = random_actions(self.spec, 6, torch.Generator())
        assert (actions.shape, actions.dtype) == (example.shape, example.dtype)
        never, nothing = torch.zeros(6, dtype=torch.bool), torch.zeros(6, dtype=torch.int64)
        return Step(self.reset(), self.reset(), torch.rand(6), never, never, nothing, never, nothing)


def learner(blueprint: Blueprint) -> Learner:
    return Learner(blueprint, LearnerConfig(rollout_steps=4, minibatch=8), discount=0.9, seed=0, device=CPU)


@pytest.mark.parametrize("blueprint", KINDS)
def test_before_the_first_step_the_ratio_of_the_whole_rollout_is_one(blueprint: Blueprint) -> None:
    learning, env = learner(blueprint), Noise(blueprint)
    rollout = collect(env, learning.act, env.reset(), 4)  # type: ignore[arg-type]
    batch = learning.prepare(rollout, Lesson(rollout.reward))
    actions = learning.policy(batch.inputs.obs).actions[batch.which]
    ratio = (learning.policy.distribution.log_prob(actions, batch.action) - batch.log_prob).exp()
    assert torch.allclose(ratio, torch.ones(24), atol=1e-5)
    before = [p.clone() for p in learning.policy.parameters()]
    metrics = learning.update(rollout, Lesson(rollout.reward))
    assert all(value.isfinite() for value in metrics.values())
    assert all(not torch.equal(p, q) for p, q in zip(before, learning.policy.parameters(), strict=True))


@pytest.mark.parametrize("blueprint", KINDS)
def test_what_a_sample_must_not_train_gets_exactly_zero(blueprint: Blueprint) -> None:
    policy = blueprint.build()
    obs = torch.rand(4, *blueprint.obs_shape)
    keep = torch.tensor([[True, False, False]]).expand(4, 3)
    policy(obs, keep).actions.exp().sum().backward()
    assert policy.torso.gate is not None
    for module in (policy.torso.experts["bad"], policy.torso.gate):
        assert all(p.grad is None or (p.grad == 0).all() for p in module.parameters())
    assert any((p.grad != 0).any() for p in policy.torso.experts["good"].parameters() if p.grad is not None)
    assert all(p.grad is not None and (p.grad != 0).any() for p in policy.head.parameters())


@pytest.mark.parametrize("blueprint", KINDS)
def test_ablated_exported_and_loaded_it_acts_as_the_steered_whole_does(blueprint: Blueprint, tmp_path: Path) -> None:
    policy, obs = blueprint.build(), torch.rand(7, *blueprint.obs_shape)
    torch.nn.init.normal_(next(p for name, p in policy.head.named_parameters() if name != "log_std"))
    steered = policy(obs, steer=torch.tensor([1.0, 0.0]).expand(7, 2)).actions
    ablated = steering.ablate(policy, {"good": 1.0})
    assert torch.equal(ablated(obs).actions, steered)
    steering.export(ablated, tmp_path / "policy.safetensors")
    assert torch.equal(steering.load(tmp_path / "policy.safetensors")(obs).actions, steered)


def test_one_expert_of_a_mixture_of_equals_is_the_mixture() -> None:
    blueprint = KINDS[1]
    policy, obs = blueprint.build(), torch.rand(7, *blueprint.obs_shape)
    policy.torso.equalise()
    assert torch.allclose(policy(obs).actions, steering.ablate(policy, {"bad": 1.0})(obs).actions, atol=1e-6)
