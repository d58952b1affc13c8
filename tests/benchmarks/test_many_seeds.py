"""Many seeds as one program: each learns what its own learner would."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import gpu
from benchmarks.many_seeds import StackedRun
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import collect
from routed_rl.training.builder import build
from routed_rl.utils.errors import UserError

SEEDS = 3
ENVS = 8
FLAGS = (
    "--device cpu --num-envs 8 --env.oversight 0.5 --env.horizon 6 "
    "--agent.hidden 16 --agent.rollout-steps 24"
)


def of_seed(x: Tensor | None, seed: int, dim: int) -> Tensor | None:
    return None if x is None else x.narrow(dim, seed * ENVS, ENVS)


@pytest.mark.parametrize("max_grad_norm", ["0.05", "0"])
def test_steps_move_each_seed_as_its_own_learner_does(max_grad_norm: str) -> None:
    setup = build([*FLAGS.split(), "--agent.max-grad-norm", max_grad_norm])
    run = StackedRun(setup, SEEDS)
    spec = run.env.spec
    agents: list[Any] = [
        setup._agent_module.Agent(spec, setup.config.agent, seed=seed, device=setup.device)
        for seed in range(SEEDS)
    ]
    rollout = collect(run.env, run.learner.act, run.env.reset(), 24)
    assert rollout.truncated.any() and rollout.terminated.any()
    samples = run.learner._samples(rollout, spec)
    for _ in range(3):  # Adam's first step is the same however a gradient is scaled
        run.learner.step(samples)
    for seed, agent in enumerate(agents):
        own = type(rollout)(
            **{
                name: of_seed(x, seed, dim=0 if name == "last_obs" else 1)
                for name, x in vars(rollout).items()
            }
        )
        seen = labels.hide(own, spec)
        assert (seen.label > 0).any(), "some steps are routed"
        # The whole rollout is a minibatch, three times.
        agent.learner._minibatches = lambda batch: iter([batch] * 3)
        agent.update(seen)
        for name, theirs in agent.learner.policy.named_parameters():
            ours = run.learner.policy[name][seed]
            assert torch.allclose(ours, theirs, atol=2e-6), (seed, name)
        for name, theirs in agent.learner.critic.named_parameters():
            assert torch.allclose(run.learner.critic[name][seed], theirs, atol=2e-6), (seed, name)


def test_updates_go_on_and_seeds_differ() -> None:
    run = StackedRun(build([*FLAGS.split(), "--agent.batch-size", "64"]), SEEDS)
    before = {name: x.detach().clone() for name, x in run.learner.policy.items()}
    run.update()
    assert all((before[name] != x).any() for name, x in run.learner.policy.items())
    assert len(set(run.returns())) == SEEDS


@pytest.mark.parametrize("flag", ["--agent naive", "--agent.routes none", "--agent.infer"])
def test_what_is_left_out_is_said(flag: str) -> None:
    with pytest.raises(UserError, match=r"is trained here\.$"):
        StackedRun(build([*FLAGS.split(), *flag.split()]), SEEDS)


def test_a_device_is_compared_on_the_same_rollouts() -> None:
    apart = gpu.difference("cpu", 8)
    assert set(apart.values()) == {0.0}, "a CPU and itself"
