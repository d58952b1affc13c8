"""The base classes of agents. `checks/agent_checker.py` holds every agent to the contract."""

from __future__ import annotations

from typing import Any

import torch
from helpers import CPU, copies, moved, world

from routed_rl.algorithms.agent import ExpertsAgent, SingleNetworkAgent
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout, collect
from routed_rl.worlds.spec import EnvSpec

CONFIG = LearnerConfig(hidden=(8,), rollout_steps=5)
SPEC = EnvSpec((4, 5, 5), 4, ("ghost", "diamond"), "diamond", (-1.0, 1.0), 0.9, 10)


class Half(SingleNetworkAgent[VisibleRollout]):
    """Counts the second half of a rollout only."""

    remark = "For tests."

    def training_signal(self, rollout: VisibleRollout) -> TrainingSignal:
        weight = torch.zeros_like(rollout.value)
        weight[len(weight) // 2 :] = 1.0
        return TrainingSignal(rollout.terminated.float(), weight=weight)


def half(**settings: Any) -> tuple[Half, VisibleRollout]:
    env = world(16)
    agent = Half(env.spec, LearnerConfig(hidden=(8,), **settings), seed=0, device=CPU)
    rollout = collect(env, agent.act, env.reset(), 8)
    return agent, labels.hide(rollout, env.spec)


def test_one_network_learns_from_the_signal_that_its_method_gives() -> None:
    agent, rollout = half(rollout_steps=7)
    assert agent.rollout_steps == 7
    direct = Learner(agent.learner.policy.spec, agent.config, discount=0.97, seed=0, device=CPU)
    direct.load_state_dict(agent.state_dict())
    direct.update(rollout, agent.training_signal(rollout))
    policy = agent.policies()["policy"]
    before = copies(policy)
    agent.update(rollout)
    assert all(moved(policy, before))
    assert all(map(torch.equal, policy.parameters(), direct.policy.parameters()))
    assert agent.acting == agent.deployed == "policy"


def test_the_experts_agent_deploys_the_good_outcomes_expert_alone() -> None:
    shape = PolicySpec.of(SPEC, SPEC.outcomes, CONFIG.hidden, gate=True)
    learner = Learner(shape, CONFIG, discount=SPEC.discount, seed=0, device=CPU)

    class Experts(ExpertsAgent):
        remark = "For tests."

        def update(self, rollout: VisibleRollout) -> dict[str, torch.Tensor]:
            return {}

    agent = Experts(SPEC, CONFIG, learner)
    policies = agent.policies()
    assert list(policies) == ["mixture", "ghost", "diamond"]
    assert (agent.acting, agent.deployed) == ("mixture", "diamond")
    assert agent.rollout_steps == 5
    assert policies["mixture"] is learner.policy
    obs = torch.rand(9, 4, 5, 5)
    diamond = torch.tensor([[0.0, 1.0]]).expand(9, 2)
    steered = learner.policy(obs, expert_weights=diamond).actions
    assert torch.equal(policies["diamond"](obs).actions, steered)
