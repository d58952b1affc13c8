"""Does an agent keep its contract? Point by point, with the remedy for each fault.

The agent is trained for a few updates in a small world. The tests of our own agents are these
points.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

from routed_rl.algorithms.agent import Agent
from routed_rl.checks.agent_probe import (
    NUM_ENVS,
    STEPS,
    UPDATES,
    AgentProbe,
    Metrics,
    parameters,
    same,
)
from routed_rl.checks.result import CheckResult, Points, examine
from routed_rl.registry import Registry
from routed_rl.rollouts.rollout import collect

EDGES = ((0.0, NUM_ENVS, STEPS), (1.0, NUM_ENVS, STEPS), (0.3, 1, STEPS), (0.0, 1, 1))
"""Oversight, environments and steps of a rollout at which a method may divide by nothing."""


def check_agent(
    module: ModuleType, config: Any = None, *, world: ModuleType | None = None
) -> list[CheckResult]:
    """Examine an agent.

    Args:
        module: has `Config` and `Agent`.
        config: an instance of `Config`; the default one unless given.
        world: a module with `Config` and `make`, of two outcomes; the gridworld unless given.

    Returns:
        The points of the contract in order. If the first fails there is no second.
    """
    config = module.Config() if config is None else config
    return examine(
        AgentProbe(module, config, world or Registry().load("envs", "gridworld")), POINTS
    )


def _made(probe: AgentProbe) -> Iterator[str]:
    """Let Agent(spec, config, *, seed, device) be a routed_rl.Agent, Config a frozen dataclass."""
    config = type(probe.config)
    is_dataclass = dataclasses.is_dataclass(config)
    if not (is_dataclass and config.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        yield "Config is no frozen dataclass"
    agent = probe.make(probe.make_env())
    if not isinstance(agent, Agent):
        yield "Agent is no subclass of routed_rl.Agent"


def _declared(probe: AgentProbe) -> Iterator[str]:
    """Declare what routed_rl.Agent lists: acting and deployed among policies(), a remark, ..."""
    agent = probe.make(probe.make_env())
    if not isinstance(agent.sees_everything, bool):
        yield f"sees_everything is {agent.sees_everything!r}"
    if not agent.remark:
        yield "remark is empty"
    if agent.rollout_steps < 1:
        yield f"rollout_steps is {agent.rollout_steps}"
    known = agent.policies()
    for name in (agent.acting, agent.deployed):
        if name not in known:
            yield f"{name!r} is none of the policies {', '.join(known)}"


def _decisions(probe: AgentProbe) -> Iterator[str]:
    """Return from act() a routed_rl.Decision for each of B observations, in finite numbers."""
    env = probe.make_env()
    agent = probe.make(env)
    decision = agent.act(env.reset())
    batch = (env.num_envs,)
    wanted = {
        "action": (*batch, *env.spec.action_shape),
        "log_prob": batch,
        "value": batch,
    }
    for name, shape in wanted.items():
        found = tuple(getattr(decision, name).shape)
        if found != shape:
            yield f"{name} is {found} for {env.num_envs} observations"
    action = decision.action
    counts = torch.tensor(env.spec.action_sizes or env.spec.num_actions)
    if not env.spec.continuous and not bool(((action >= 0) & (action < counts)).all()):
        yield f"an action lies outside 0 to {(counts - 1).tolist()}"
    if not bool((decision.log_prob.sum() + decision.value.sum()).isfinite()):
        yield "log_prob or value is not finite"


def _ratio(probe: AgentProbe) -> Iterator[str]:
    """Act as the policy that `acting` names, with the expert weights that the decision holds."""
    env = probe.make_env()
    agent = probe.make(env)
    rollout = collect(env, agent.act, env.reset(), STEPS)
    policy = agent.policies()[agent.acting]
    weights = rollout.expert_weights
    flat_weights = None if weights is None else weights.flatten(0, 1)
    actions = policy(rollout.obs.flatten(0, 1), expert_weights=flat_weights).actions
    log_prob = policy.distribution.log_prob(actions, rollout.action.flatten(0, 1))
    ratio = (log_prob - rollout.log_prob.flatten()).exp()
    furthest = float((ratio - 1).detach().abs().max())
    if not furthest <= 1e-5:
        yield f"before any update a ratio of probabilities is {furthest:.2g} from 1"


def _learns(probe: AgentProbe) -> Iterator[str]:
    """Let update() change the policies, keep them finite, and return scalars as group/name."""
    _, before, after, metrics = probe.usual
    if same(before, after):
        yield f"{UPDATES} updates changed nothing"
    if not all(bool(p.isfinite().all()) for p in after):
        yield f"a parameter is not finite after {UPDATES} updates"
    yield from _wrong_metrics(metrics)


def _seed(probe: AgentProbe) -> Iterator[str]:
    """Draw everything from Agent()'s seed, and nothing from torch's global generator."""
    if not same(probe.usual.after, probe.make_and_train(global_seed=1).after):
        yield "two agents of one seed end on different parameters"


def _hidden(probe: AgentProbe) -> Iterator[str]:
    """Learn from the rollout alone, which holds nothing that the overseer did not see."""
    spoiled = probe.make_and_train(spoil=True)
    if not spoiled.agent.sees_everything and not same(probe.usual.after, spoiled.after):
        yield "what the overseer did not see changed what was learnt"


def _state(probe: AgentProbe) -> Iterator[str]:
    """Put all that changes into state_dict, as tensors and plain values."""
    env = probe.make_env()
    whole = probe.make(env)
    probe.train(whole, env, 2)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    other = probe.make(env, seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    for agent in (whole, other):
        again = probe.make_env(seed=1)
        probe.train(agent, again, 2)
    if not same(parameters(whole), parameters(other)):
        yield "an agent that loaded its state goes on to other parameters"


def _edges(probe: AgentProbe) -> Iterator[str]:
    """Stay finite without any label, with labels only, with one environment, and with one step."""
    for oversight, num_envs, steps in EDGES:
        env = probe.make_env(num_envs, oversight=oversight)
        agent = probe.make(env)
        metrics = probe.train(agent, env, 2, steps=steps)
        where = f"at oversight {oversight:g}, {num_envs} environments and {steps} steps"
        for fault in _wrong_metrics(metrics):
            yield f"{fault} {where}"
        if not all(bool(p.isfinite().all()) for p in parameters(agent)):
            yield f"a parameter is not finite {where}"


def _wrong_metrics(metrics: Metrics) -> Iterator[str]:
    """Yield what is wrong with the metrics of an update."""
    for name, value in metrics.items():
        if "/" not in name:
            yield f"metric {name!r} has no group"
        if not isinstance(value, torch.Tensor) or value.ndim or value.requires_grad:
            yield f"metric {name} is no detached scalar tensor"
        elif not bool(value.isfinite()):
            yield f"metric {name} is {float(value)}"


POINTS: Points[AgentProbe] = {
    "can be made": _made,
    "declarations": _declared,
    "decisions": _decisions,
    "ratio 1 at first": _ratio,
    "learning": _learns,
    "seed": _seed,
    "hidden labels": _hidden,
    "state": _state,
    "edges": _edges,
}
"""The points of the contract, in order."""
