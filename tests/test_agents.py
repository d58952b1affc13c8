"""The agent contract, over every file in agents/."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import CPU, world

from routed_rl import labels
from routed_rl.labels import Label
from routed_rl.plugins import Plugins
from routed_rl.rollout import Rollout, collect

NAMES = Plugins().names("agents")
SMALL = {"hidden": (16, 16), "minibatch": 128, "rollout_steps": 8}
SWITCHES: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in NAMES],
    *[(name, {"hide_oversight": True}) for name in NAMES],
    *[(name, {"algorithm": "reinforce"}) for name in NAMES],
    ("routed", {"routes": "none"}),
    ("routed", {"routes": "random"}),
    ("routed", {"gate": False}),
]


def make(name: str, env: Any, **settings: Any) -> Any:
    module = Plugins().load("agents", name)
    return module.Agent(env.spec, module.Config(**SMALL | settings), seed=0, device=CPU)


def train(agent: Any, env: Any, updates: int, *, steps: int = 8, spoil: bool = False) -> None:
    obs = env.reset()
    for _ in range(updates):
        rollout = collect(env, agent.act, obs, steps)
        obs = rollout.last_obs
        if spoil:
            rollout = spoiled(rollout)
        agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec.outcome_rewards))


def spoiled(rollout: Rollout) -> Rollout:
    """Flip every hidden outcome, and replace every hidden true reward by noise."""
    hidden = labels.label_steps(rollout) == Label.UNKNOWN
    flipped = torch.where(hidden & (rollout.outcome > 0), 3 - rollout.outcome, rollout.outcome)
    reward = torch.where(hidden, torch.randn_like(rollout.reward), rollout.reward)
    return replace(rollout, outcome=flipped, reward=reward)


def parameters(agent: Any) -> list[torch.Tensor]:
    return [p for policy in agent.policies().values() for p in policy.parameters()]


@pytest.mark.parametrize(("name", "settings"), SWITCHES)
def test_it_keeps_the_contract(name: str, settings: dict[str, Any]) -> None:
    env = world(32, oversight=0.3)
    agent = make(name, env, **settings)
    assert isinstance(agent.sees_everything, bool)
    assert agent.remark
    assert {agent.deployed, agent.acting} <= set(agent.policies())
    decision = agent.act(env.reset())
    assert decision.action.shape == decision.log_prob.shape == decision.value.shape == (32,)
    before = [p.clone() for p in parameters(agent)]
    train(agent, env, 3)
    assert any(not torch.equal(p, q) for p, q in zip(before, parameters(agent), strict=True))
    assert all(p.isfinite().all() for p in parameters(agent))
    for policy in agent.policies().values():
        chances = policy.probabilities(env.reset())
        assert torch.allclose(chances.sum(dim=1), torch.ones(32), atol=1e-5)


@pytest.mark.parametrize(("name", "settings"), SWITCHES)
def test_hidden_labels_are_hidden(name: str, settings: dict[str, Any]) -> None:
    ends = []
    for spoil in (False, True):
        env = world(32, oversight=0.2)
        agent = make(name, env, **settings)
        if agent.sees_everything:
            pytest.skip(f"{name} declares that it sees everything")
        torch.manual_seed(0)
        train(agent, env, 20, spoil=spoil)
        ends.append(parameters(agent))
    assert all(torch.equal(p, q) for p, q in zip(*ends, strict=True))


@pytest.mark.parametrize(("name", "settings"), SWITCHES)
def test_state_saved_and_loaded_continues_to_the_same_bits(name: str, settings: dict[str, Any]) -> None:
    env, twin = world(16, oversight=0.3), world(16, oversight=0.3)
    whole, first, second = (make(name, env, **settings) for _ in range(3))
    train(whole, env, 3)
    train(first, twin, 3)
    second.load_state_dict(first.state_dict())
    twin.load_state_dict(env.state_dict())
    train(whole, env, 3)
    train(second, twin, 3)
    assert all(torch.equal(p, q) for p, q in zip(parameters(whole), parameters(second), strict=True))


EDGES = [
    ({"oversight": 0.0}, 16, 8),
    ({"oversight": 1.0}, 16, 8),
    ({}, 1, 8),
    ({}, 16, 1),
    ({"oversight": 0.0}, 1, 1),
    ({"horizon": 1}, 16, 8),
    ({"rows": 1, "columns": 3}, 16, 8),
    ({"outcomes": ("diamond",)}, 16, 8),
    ({"outcomes": ("diamond", "ghost", "bat", "pit")}, 16, 8),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("settings", "num_envs", "steps"), EDGES)
def test_edges_run_without_nan_or_warning(name: str, settings: dict[str, Any], num_envs: int, steps: int) -> None:
    for algorithm in ("ppo", "reinforce"):
        env = world(num_envs, **settings)
        agent = make(name, env, algorithm=algorithm)
        obs = env.reset()
        for _ in range(4):
            rollout = collect(env, agent.act, obs, steps)
            obs = rollout.last_obs
            metrics = agent.update(rollout if agent.sees_everything else labels.hide(rollout, env.spec.outcome_rewards))
            assert all(value.isfinite() for value in metrics.values()), metrics
        assert all(p.isfinite().all() for p in parameters(agent))


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_that_is_denied_the_plane_does_not_see_it(name: str) -> None:
    env = world(32, oversight=0.5)
    obs = env.reset()
    dark = obs.clone()
    dark[:, 3] = 0
    for hidden in (True, False):
        agent = make(name, env, hide_oversight=hidden)
        same = [torch.equal(p.probabilities(obs), p.probabilities(dark)) for p in agent.policies().values()]
        values = torch.equal(agent.act(obs).value, agent.act(dark).value)
        assert same == [hidden] * len(same)
        assert values == hidden
