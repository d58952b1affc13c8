"""Both checkers in worlds whose outcomes end nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import walk
from helpers import CPU
from torch import Tensor

from routed_rl import check_agent, check_env
from routed_rl.agents import naive, seen_only
from routed_rl.checks.agent_probe import parameters, same
from routed_rl.envs import gridworld
from routed_rl.registry import Registry
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Rollout, VisibleRollout, collect
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step

MODULES = {name: Registry().load("agents", name) for name in Registry().names("agents")}
SMALL = {"hidden": (8,), "batch_size": 64, "rollout_steps": 8}
OWN: dict[str, list[dict[str, Any]]] = {
    "routed": [{"credit": "episode"}, {"routes": "random"}],
    "absorbing": [{"routes": "label"}, {"routes": "inferred"}, {"routes": "random"}],
}
SWITCHES = [(name, settings) for name in MODULES for settings in ({}, *OWN.get(name, ()))]
HONEST = [(name, settings) for name, settings in SWITCHES if name != "oracle"]


def failed(results: Any) -> dict[str, str]:
    return {result.name: result.fault for result in results if not result.passed}


@pytest.mark.parametrize(("name", "settings"), SWITCHES)
def test_every_agent_keeps_its_contract_there(name: str, settings: dict[str, Any]) -> None:
    module = MODULES[name]
    config = module.Config(**SMALL | settings)
    world: Any = walk
    assert failed(check_agent(module, config, world=world)) == {}


@pytest.mark.parametrize("world", [walk, gridworld])
@pytest.mark.parametrize(
    ("field", "truth", "agent"),
    [("true_reward", "true_reward", seen_only.Agent), ("reported", "outcome", naive.Agent)],
)
def test_where_hiding_leaks_the_point_fails(
    field: str, truth: str, agent: Any, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide = labels.hide

    def leak(rollout: Rollout, spec: EnvSpec) -> VisibleRollout:
        return replace(hide(rollout, spec), **{field: getattr(rollout, truth)})

    module: Any = SimpleNamespace(Config=naive.Config, Agent=agent)
    config = naive.Config(hidden=(8,), rollout_steps=8)
    assert failed(check_agent(module, config, world=world)) == {}
    monkeypatch.setattr(labels, "hide", leak)
    assert list(failed(check_agent(module, config, world=world))) == ["hidden labels"]


def spoiled(rollout: Rollout, generator: torch.Generator) -> Rollout:
    """Replace outcomes that nobody saw, and none, by any others, and the true reward by noise."""
    hidden = ~rollout.overseen
    shape = rollout.outcome.shape
    outcome = torch.randint(3, shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    return replace(
        rollout,
        outcome=torch.where(hidden, outcome, rollout.outcome),
        true_reward=torch.where(hidden, noise, rollout.true_reward),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), HONEST)
def test_hidden_labels_are_hidden_for_longer(name: str, settings: dict[str, Any]) -> None:
    module = MODULES[name]
    ends = []
    for spoil in (False, True):
        env = walk.make(walk.Config(oversight=0.3), 32, seed=0, device=CPU)
        config = module.Config(**SMALL | settings)
        agent = module.Agent(env.spec, config, seed=0, device=CPU)
        obs = env.reset()
        generator = torch.Generator().manual_seed(0)
        for _ in range(6):
            rollout = collect(env, agent.act, obs, 8)
            obs = rollout.last_obs
            rollout = spoiled(rollout, generator) if spoil else rollout
            agent.update(labels.hide(rollout, env.spec))
        ends.append(parameters(agent))
    assert same(*ends)


def test_a_world_keeps_its_contract() -> None:
    world: Any = walk
    assert failed(check_env(world)) == {}


def with_fault(spoil: Callable[[Step], Step]) -> Any:
    """Make a module of walks each step of which is changed."""

    class Broken(walk.Walk):
        def step(self, actions: Tensor) -> Step:
            return spoil(super().step(actions))

    return SimpleNamespace(Config=walk.Config, make=Broken, __name__="broken")


FAULTS: dict[str, tuple[Callable[[Step], Step], str, str]] = {
    "no such outcome": (
        lambda s: s._replace(outcome=2 * s.outcome),
        "outcomes",
        "give 0 or the number of an outcome, 1 to 2",
    ),
    "both ends": (
        lambda s: s._replace(truncated=s.truncated | s.terminated),
        "outcomes",
        "an episode that terminated was not truncated",
    ),
    "gossip": (
        lambda s: s._replace(reported=s.outcome),
        "oversight",
        "report 0 where nobody looked",
    ),
    "always": (
        lambda s: s._replace(overseen=s.overseen | True),
        "oversight",
        "something is overseen at oversight 0",
    ),
    "never": (
        lambda s: s._replace(overseen=s.overseen & False, reported=0 * s.reported),
        "oversight",
        "nothing is overseen at oversight 1",
    ),
    "end": (
        lambda s: s._replace(terminated=s.terminated & False, truncated=s.terminated | s.truncated),
        "model",
        "and the model says otherwise",
    ),
    "outcome": (
        lambda s: s._replace(outcome=0 * s.outcome, reported=0 * s.reported),
        "model",
        "led to outcome 0, reward",
    ),
    "truth": (
        lambda s: s._replace(true_reward=s.reward),
        "model",
        "reward 2 and true reward 2, and the model says otherwise",
    ),
}
"""What is done to a step, the point that fails by it, and words of what is said."""


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_step_fails_its_point(fault: str) -> None:
    spoil, point, words = FAULTS[fault]
    found = failed(check_env(with_fault(spoil)))
    assert point in found, found
    assert words in found[point]


def test_a_false_claim_that_outcomes_end_episodes_is_told() -> None:
    class Claims(walk.Walk):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.spec = replace(self.spec, outcomes_end=True)

    module: Any = SimpleNamespace(Config=walk.Config, make=Claims, __name__="claims")
    found = failed(check_env(module))
    assert "or let outcomes_end be False" in found["outcomes"]
    assert "or let outcomes_end be False" in found["oversight"]
