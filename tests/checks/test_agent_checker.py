"""The contract of agents: over every file in agents/ and its switches, and broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import CPU, world
from torch import Tensor

from routed_rl import check_agent
from routed_rl.agents import naive, oracle
from routed_rl.algorithms.agent import Agent
from routed_rl.checks.agent_checker import POINTS
from routed_rl.checks.agent_probe import parameters, same
from routed_rl.checks.result import CheckResult
from routed_rl.envs import gridworld
from routed_rl.registry import Registry
from routed_rl.rollouts import labels
from routed_rl.rollouts.labels import Label
from routed_rl.rollouts.rollout import Decision, Rollout, VisibleRollout, collect
from routed_rl.worlds.outcomes import names_outcome
from routed_rl.worlds.spec import EnvSpec

MODULES = {name: Registry().load("agents", name) for name in Registry().names("agents")}
SMALL = {"hidden": (16, 16), "batch_size": 128, "rollout_steps": 8}
SHARED: list[dict[str, Any]] = [
    {},
    {"hide_oversight": True},
    {"algorithm": "reinforce"},
    {"normalize_obs": True, "normalize_reward": True},
]
OWN: dict[str, list[dict[str, Any]]] = {
    "routed": [{"routes": "none"}, {"routes": "random"}, {"gate": False}],
    "absorbing": [
        {"routes": "label"},
        {"routes": "inferred"},
        {"routes": "random"},
        {"conditioned": True},
        {"model_frames": 3},
    ],
    "reward_model": [
        {"model_by_cell": True},
        {"model_frames": 3, "model_members": 2, "keep_paid": True},
    ],
}
SWITCHES = [(name, settings) for name in MODULES for settings in (*SHARED, *OWN.get(name, ()))]
HONEST = [(name, settings) for name, settings in SWITCHES if name != "oracle"]


def failed(results: Sequence[CheckResult]) -> dict[str, str]:
    return {result.name: result.fault for result in results if not result.passed}


def make(name: str, env: Any, **settings: Any) -> Agent[Any]:
    module = MODULES[name]
    return module.Agent(env.spec, module.Config(**SMALL | settings), seed=0, device=CPU)


@pytest.mark.parametrize(("name", "settings"), SWITCHES)
def test_every_agent_keeps_it(name: str, settings: dict[str, Any]) -> None:
    module = MODULES[name]
    results = check_agent(module, module.Config(**SMALL | settings))
    assert failed(results) == {}
    assert [result.name for result in results] == list(POINTS)


def test_the_oracle_alone_sees_everything() -> None:
    assert [name for name, module in MODULES.items() if module.Agent.sees_everything] == ["oracle"]


def test_it_is_examined_in_the_world_that_is_given() -> None:
    shapes = set()

    def make_world(config: gridworld.Config, num_envs: int, **rest: Any) -> gridworld.Gridworld:
        env = gridworld.make(replace(config, rows=2, columns=3), num_envs, **rest)
        shapes.add(env.spec.obs_shape)
        return env

    small: Any = SimpleNamespace(Config=gridworld.Config, make=make_world)
    config = naive.Config(hidden=(4,))
    assert failed(check_agent(naive, config, world=small)) == {}
    assert shapes == {(4, 2, 3)}


class Raises(naive.Agent):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no weights")


class NoAgent:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class SaysOne(naive.Agent):
    sees_everything = 1  # type: ignore[assignment]


class Silent(naive.Agent):
    remark = ""


class NeverCollects(naive.Agent):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rollout_steps = 0


class DeploysNobody(naive.Agent):
    deployed = "nobody"


class OneValue(naive.Agent):
    def act(self, obs: Tensor) -> Decision:
        decision = super().act(obs)
        return decision._replace(value=decision.value[:1])


class NoDistribution(naive.Agent):
    def act(self, obs: Tensor) -> Decision:
        decision = super().act(obs)
        return decision._replace(log_prob=decision.log_prob * torch.nan)


class Likelier(naive.Agent):
    """Says that its actions were a tenth likelier than they are."""

    def act(self, obs: Tensor) -> Decision:
        decision = super().act(obs)
        return decision._replace(log_prob=decision.log_prob + 0.1)


class Idle(naive.Agent):
    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        return {}


class Explodes(naive.Agent):
    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        metrics = super().update(rollout)
        with torch.no_grad():
            self.learner.policy.head.weight.fill_(torch.inf)  # type: ignore[operator]
        return metrics


def reporting(name: str, value: Any) -> type[Agent[Any]]:
    """Make an agent with one metric."""

    class Reporting(naive.Agent):
        def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
            super().update(rollout)
            return {name: value}

    return Reporting


class Global(naive.Agent):
    """Draws from torch's global generator."""

    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        metrics = super().update(rollout)
        with torch.no_grad():
            bias: Any = self.learner.policy.head.bias
            bias += 0.01 * torch.rand(bias.shape)
        return metrics


class Liar(oracle.Agent):
    """Gets the truth of four rollouts, and then says that it never saw it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.updates = 0

    @property
    def sees_everything(self) -> bool:  # type: ignore[override]
        return self.updates < 4

    def update(self, rollout: Rollout) -> dict[str, Tensor]:
        self.updates += 1
        return super().update(rollout)


class Forgetful(naive.Agent):
    def state_dict(self) -> dict[str, Any]:
        return {"policy": self.learner.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.policy.load_state_dict(state["policy"])


class Unsaved(naive.Agent):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"itself": self}


class DividesByLabels(naive.Agent):
    def update(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        known = names_outcome(rollout.label).sum()
        return super().update(rollout) | {"routing/mean": known / known}


FAULTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "raises": (Raises, "can be made", "RuntimeError: no weights"),
    "no agent": (NoAgent, "can be made", "Agent is no subclass of routed_rl.Agent"),
    "no bool": (SaysOne, "declarations", "sees_everything is 1"),
    "silent": (Silent, "declarations", "remark is empty"),
    "no steps": (NeverCollects, "declarations", "rollout_steps is 0"),
    "no policy": (DeploysNobody, "declarations", "'nobody' is none of the policies policy"),
    "one value": (OneValue, "decisions", "value is (1,) for 32 observations"),
    "no distribution": (NoDistribution, "decisions", "log_prob or value is not finite"),
    "likelier": (Likelier, "ratio 1 at first", "a ratio of probabilities is 0.095 from 1"),
    "idle": (Idle, "learning", "4 updates changed nothing"),
    "explodes": (Explodes, "learning", "a parameter is not finite after 4 updates"),
    "no group": (reporting("loss", torch.tensor(1.0)), "learning", "'loss' has no group"),
    "a number": (reporting("a/b", 1.0), "learning", "a/b is no detached scalar tensor"),
    "a row": (reporting("a/b", torch.ones(2)), "learning", "a/b is no detached scalar tensor"),
    "attached": (
        reporting("a/b", torch.ones((), requires_grad=True)),
        "learning",
        "a/b is no detached scalar tensor",
    ),
    "NaN": (reporting("a/b", torch.tensor(torch.nan)), "learning", "metric a/b is nan"),
    "global": (Global, "seed", "two agents of one seed end on different parameters"),
    "liar": (Liar, "hidden labels", "what the overseer did not see changed what was learnt"),
    "forgetful": (Forgetful, "state", "an agent that loaded its state goes on to other"),
    "unsaved": (Unsaved, "state", "Error: "),
    "divides": (
        DividesByLabels,
        "edges",
        "metric routing/mean is nan at oversight 0, 32 environments and 4 steps",
    ),
}
"""A broken agent, the point that it fails, and words of what is said."""


def check(agent: Callable[..., Any]) -> Mapping[str, str]:
    module: Any = SimpleNamespace(Config=naive.Config, Agent=agent)
    return failed(check_agent(module, naive.Config(hidden=(8,), rollout_steps=8)))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_its_point(fault: str) -> None:
    agent, point, words = FAULTS[fault]
    found = check(agent)
    assert point in found, found
    assert words in found[point]
    if fault in ("silent", "likelier", "liar", "forgetful", "divides"):
        assert list(found) == [point], "and no other point"


def test_every_point_is_failed_by_some_agent() -> None:
    assert {point for _, point, _ in FAULTS.values()} == set(POINTS)


def test_a_config_that_can_change_is_told() -> None:
    @dataclass
    class Loose:
        oversight: float = 0.1

    module: Any = SimpleNamespace(Config=Loose, Agent=naive.Agent)
    (only,) = check_agent(module)
    assert only.fault == "Config is no frozen dataclass"
    assert only.remedy.startswith("Let Agent(")


def spoiled(rollout: Rollout, spec: EnvSpec) -> Rollout:
    """Flip every hidden outcome, and replace every hidden true reward by noise."""
    hidden = labels.hide(rollout, spec).label == Label.UNKNOWN
    flipped = torch.where(hidden & (rollout.outcome > 0), 3 - rollout.outcome, rollout.outcome)
    noise = torch.randn_like(rollout.true_reward)
    true_reward = torch.where(hidden, noise, rollout.true_reward)
    return replace(rollout, outcome=flipped, true_reward=true_reward)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), HONEST)
def test_hidden_labels_are_hidden_for_longer(name: str, settings: dict[str, Any]) -> None:
    ends = []
    for spoil in (False, True):
        env = world(32, oversight=0.2)
        agent = make(name, env, **settings)
        obs = env.reset()
        for _ in range(6):
            rollout = collect(env, agent.act, obs, 8)
            obs = rollout.last_obs
            rollout = spoiled(rollout, env.spec) if spoil else rollout
            agent.update(labels.hide(rollout, env.spec))
        ends.append(parameters(agent))
    assert same(*ends)


EDGES: list[tuple[dict[str, Any], int, int]] = [
    ({}, 16, 1),
    ({"horizon": 1}, 32, 4),
    ({"rows": 1, "columns": 3}, 32, 4),
    ({"outcomes": ("diamond",)}, 32, 4),
    ({"outcomes": ("diamond", "ghost", "bat", "pit")}, 32, 4),
]
"""Settings of the gridworld, environments, and steps of a rollout."""


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("settings", "num_envs", "steps"), EDGES)
def test_edges_run_without_nan_or_warning(
    name: str, algorithm: str, settings: dict[str, Any], num_envs: int, steps: int
) -> None:
    env = world(num_envs, **settings)
    agent = make(name, env, algorithm=algorithm)
    obs = env.reset()
    for _ in range(4):
        rollout = collect(env, agent.act, obs, steps)
        obs = rollout.last_obs
        hidden = labels.hide(rollout, env.spec)
        metrics = agent.update(rollout if agent.sees_everything else hidden)
        assert all(value.isfinite() for value in metrics.values()), metrics
    assert all(p.isfinite().all() for p in parameters(agent))
    for policy in agent.policies().values():
        chances = policy.probabilities(obs)
        assert torch.allclose(chances.sum(dim=1), torch.ones(num_envs), atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_an_agent_that_is_denied_the_oversight_channel_does_not_see_it(name: str) -> None:
    env = world(32, oversight=0.5)
    obs = env.reset()
    unseen = obs.clone()
    unseen[:, env.spec.oversight_channel] = 0
    for hidden in (True, False):
        agent = make(name, env, hide_oversight=hidden)
        blind = [
            torch.equal(policy.probabilities(obs), policy.probabilities(unseen))
            for policy in agent.policies().values()
        ]
        assert blind == [hidden] * len(blind)
        assert torch.equal(agent.act(obs).value, agent.act(unseen).value) == hidden
