"""Adapters on a frozen base: they begin as nothing, and the base stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, copies, train_tiny, world

from routed_rl import UserError
from routed_rl.agents import absorbing, naive, routed
from routed_rl.models.export import export, load_policy
from routed_rl.models.steering import ablate
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import collect


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Export a policy of one network."""
    env = world()
    agent = naive.Agent(env.spec, naive.Config(hidden=(8, 8)), seed=5, device=CPU)
    path = tmp_path / "base.safetensors"
    export(agent.learner.policy, path)
    return str(path)


def agents(file: str) -> list[Any]:
    env = world()
    settings: dict[str, Any] = {"hidden": (8, 8), "base": file}
    return [
        naive.Agent(env.spec, naive.Config(**settings), seed=0, device=CPU),
        routed.Agent(env.spec, routed.Config(**settings, gate=False), seed=0, device=CPU),
        routed.Agent(env.spec, routed.Config(**settings), seed=0, device=CPU),
    ]


def test_before_learning_every_agent_acts_as_the_base(file: str) -> None:
    obs = world().reset()
    expected = load_policy(file)(obs).actions
    for agent in agents(file):
        for policy in agent.policies().values():
            assert torch.equal(policy(obs).actions, expected)


def test_learning_leaves_the_base_and_the_head_as_they_are(file: str) -> None:
    env = world(16, oversight=0.5)
    for agent in agents(file):
        policy = agent.learner.policy
        frozen = [*copies(policy.torso.base), *copies(policy.head)]
        rollout = labels.hide(collect(env, agent.act, env.reset(), 64), env.spec)
        agent.update(rollout)
        after = [*policy.torso.base.parameters(), *policy.head.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(frozen, after, strict=True))
        obs = env.reset()
        assert not torch.equal(policy(obs).actions, load_policy(file)(obs).actions), "it learnt"


def test_without_a_gate_each_adapter_has_weight_one(file: str) -> None:
    policy = agents(file)[1].learner.policy
    with torch.no_grad():
        for adapter in policy.torso.experts.values():
            for parameter in adapter.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    obs = world().reset()
    below = policy.torso.base(obs.flatten(1))
    parts = {name: adapter(obs) for name, adapter in policy.torso.experts.items()}
    for weights in ({"diamond": 1.0}, {"diamond": 1.0, "ghost": -0.5}):
        features = below + sum(weight * parts[name] for name, weight in weights.items())
        dialled = ablate(policy, weights)(obs).actions
        torch.testing.assert_close(dialled, policy.head(features))
    torch.testing.assert_close(policy(obs).actions, policy.head(below + sum(parts.values())))


def test_a_run_on_a_base_goes_on(file: str, tmp_path: Path) -> None:
    base, run = tmp_path / "base", tmp_path / "run"
    train_tiny(base, 512, "--agent", "oracle")
    exported = tmp_path / "oracle.safetensors"
    from routed_rl import load

    export(load(base).policies()["policy"], exported)
    train_tiny(run, 512, "--agent.base", str(exported))
    assert set(load(run).policies()) == {"mixture", "diamond", "ghost"}


def test_what_cannot_be_a_base_is_refused(file: str, tmp_path: Path) -> None:
    env = world()

    def on(path: str, **settings: Any) -> None:
        naive.Agent(env.spec, naive.Config(base=path, **settings), seed=0, device=CPU)

    with pytest.raises(UserError, match="differ in hidden: export a network of the same shape"):
        on(file, hidden=(4,))
    mixture = routed.Agent(env.spec, routed.Config(hidden=(8, 8)), seed=0, device=CPU)
    path = tmp_path / "mixture.safetensors"
    export(mixture.learner.policy, path)
    with pytest.raises(UserError, match="holds a mixture, which is no base"):
        on(str(path), hidden=(8, 8))
    with pytest.raises(UserError, match="holds no exported policy"):
        on(str(tmp_path / "none.safetensors"), hidden=(8, 8))
    with pytest.raises(ValueError, match="base and normalize-obs are both given"):
        naive.Config(base=file, normalize_obs=True)
    conditioned = replace(absorbing.Config(hidden=(8, 8), base=file), conditioned=True)
    with pytest.raises(ValueError, match="cannot stand on a base"):
        absorbing.Agent(env.spec, conditioned, seed=0, device=CPU)
