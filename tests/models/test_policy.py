"""Policies of every kind: numbered or continuous actions, rows of numbers or pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, copies, moved, random_actions
from torch import Tensor

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.build import build_critic, build_policy
from routed_rl.models.export import export, load_policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import ablate
from routed_rl.rollouts.rollout import collect
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv

EXPERTS = ("good", "bad")
KINDS = [
    PolicySpec((5,), 3, EXPERTS, (8,), gate=True, continuous=True),
    PolicySpec((5,), 2, EXPERTS, (8,), gate=True, action_sizes=(3, 4)),
    PolicySpec((5,), 2, EXPERTS, (8,), gate=True, oversight_channel=4, normalize_obs=True),
    PolicySpec((3, 36, 40), 3, EXPERTS, (8,), gate=True, image=True),
    PolicySpec(
        (3, 36, 40), 2, EXPERTS, (8,), gate=True, image=True, continuous=True, dropped_channel=2
    ),
    PolicySpec((3, 36, 40), 2, EXPERTS, (8,), gate=True, image=True, normalize_obs=True),
]


class Noise(VecEnv):
    """Shows noise, and ends nothing."""

    num_envs = 6
    device = CPU

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = EnvSpec(
            obs_shape=spec.obs_shape,
            num_actions=spec.num_actions,
            outcomes=EXPERTS,
            target="good",
            outcome_rewards=(1.0, -1.0),
            discount=0.9,
            horizon=10,
            continuous=spec.continuous,
            image=spec.image,
            action_sizes=spec.action_sizes,
        )

    def reset(self) -> Tensor:
        return torch.rand(6, *self.spec.obs_shape)

    def step(self, actions: Tensor) -> Step:
        example = random_actions(self.spec, 6, torch.Generator())
        assert (actions.shape, actions.dtype) == (example.shape, example.dtype)
        never = torch.zeros(6, dtype=torch.bool)
        nothing = torch.zeros(6, dtype=torch.int64)
        return Step(
            obs=self.reset(),
            final_obs=self.reset(),
            reward=torch.rand(6),
            true_reward=torch.rand(6),
            terminated=never,
            truncated=never,
            outcome=nothing,
            overseen=never,
            reported=nothing,
        )


def learner(spec: PolicySpec, **settings: Any) -> Learner:
    config = LearnerConfig(rollout_steps=4, batch_size=8, **settings)
    return Learner(spec, config, discount=0.9, seed=0, device=CPU)


@pytest.mark.parametrize("spec", KINDS)
def test_before_the_first_step_the_ratio_of_the_whole_rollout_is_one(spec: PolicySpec) -> None:
    learning = learner(spec)
    env = Noise(spec)
    rollout = collect(env, learning.act, env.reset(), 4)
    batch = learning.prepare(rollout, TrainingSignal(rollout.reward))
    policy = learning.policy
    actions = policy.forward_encoded(batch.inputs.obs).actions[batch.input_index]
    ratio = (policy.distribution.log_prob(actions, batch.action) - batch.log_prob).exp()
    assert torch.allclose(ratio, torch.ones(24), atol=1e-5)
    before = copies(policy)
    metrics = learning.update(rollout, TrainingSignal(rollout.reward))
    assert all(value.isfinite() for value in metrics.values())
    assert all(moved(policy, before))


def test_deviations_begin_as_they_are_set() -> None:
    obs = torch.rand(2, 5)
    usual = learner(KINDS[0]).policy(obs).actions
    smaller = learner(KINDS[0], log_std_init=-1.5).policy(obs).actions
    assert torch.equal(usual[:, :3], smaller[:, :3])
    assert (usual[:, 3:] == 0).all()
    assert (smaller[:, 3:] == -1.5).all()


@pytest.mark.parametrize("spec", KINDS)
def test_what_a_sample_must_not_train_gets_exactly_zero(spec: PolicySpec) -> None:
    policy = build_policy(spec)
    obs = torch.rand(4, *spec.obs_shape)
    grad_mask = torch.tensor([[True, False, False]]).expand(4, 3)
    policy(obs, grad_mask).actions.exp().sum().backward()
    assert policy.torso.gate is not None
    for module in (policy.torso.experts["bad"], policy.torso.gate):
        assert all(p.grad is None or (p.grad == 0).all() for p in module.parameters())
    trained = [p.grad for p in policy.torso.experts["good"].parameters()]
    assert any((grad != 0).any() for grad in trained if grad is not None)
    assert all(p.grad is not None and (p.grad != 0).any() for p in policy.head.parameters())


@pytest.mark.parametrize("spec", KINDS)
def test_ablated_exported_and_loaded_it_acts_as_the_steered_whole_does(
    spec: PolicySpec, tmp_path: Path
) -> None:
    policy = build_policy(spec)
    obs = torch.rand(7, *spec.obs_shape)
    policy.update_statistics(3 * obs + 1)
    weights = next(p for name, p in policy.head.named_parameters() if name != "log_std")
    torch.nn.init.normal_(weights)
    expert_weights = torch.tensor([1.0, 0.0]).expand(7, 2)
    steered = policy(obs, expert_weights=expert_weights).actions
    ablated = ablate(policy, {"good": 1.0})
    assert torch.equal(ablated(obs).actions, steered)
    export(ablated, tmp_path / "policy.safetensors")
    assert torch.equal(load_policy(tmp_path / "policy.safetensors")(obs).actions, steered)


def test_one_expert_of_a_mixture_of_equals_is_the_mixture() -> None:
    spec = KINDS[3]
    policy = build_policy(spec)
    obs = torch.rand(7, *spec.obs_shape)
    policy.torso.tie_experts()
    alone = ablate(policy, {"bad": 1.0})
    assert torch.allclose(policy(obs).actions, alone(obs).actions, atol=1e-6)


@pytest.mark.parametrize("spec", KINDS)
def test_what_is_encoded_gives_the_same_actions(spec: PolicySpec) -> None:
    policy = build_policy(spec)
    obs = (torch.rand(7, *spec.obs_shape) > 0.95).float()  # so few that rows are made sparse
    encoded = policy.forward_encoded(policy.encode(obs)).actions
    assert torch.allclose(encoded, policy(obs).actions, atol=1e-6)


def test_a_greedy_policy_takes_the_likeliest_action_and_probabilities_come_in_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = build_policy(PolicySpec((4, 2, 2), 3, ("policy",), (8,)))
    obs = torch.rand(7, 4, 2, 2)
    probabilities = policy.probabilities(obs)
    assert torch.allclose(probabilities, policy(obs).actions.softmax(dim=1), atol=1e-6)
    monkeypatch.setattr(PolicySpec, "chunk", 2)
    assert torch.allclose(policy.probabilities(obs), probabilities, atol=1e-6)
    greedy = policy.act(obs, torch.Generator(), greedy=True)
    assert torch.equal(greedy, probabilities.argmax(dim=1))


@pytest.mark.parametrize("switches", [{"gate": True}, {"conditioned": True}])
def test_every_network_of_a_policy_and_its_critic_has_the_activation(
    switches: dict[str, bool],
) -> None:
    spec = PolicySpec((5,), 2, EXPERTS, (8, 8), activation="tanh", **switches)
    found = [*build_policy(spec).modules(), *build_critic(spec).modules()]
    assert any(isinstance(module, torch.nn.Tanh) for module in found)
    assert not any(isinstance(module, torch.nn.ReLU) for module in found)
