from __future__ import annotations

from helpers import BY_HAND, CPU, four_episodes

from routed_rl.agents.seen_only import Agent, Config
from routed_rl.rollouts import labels


def test_only_what_was_seen_is_rewarded() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,)), seed=0, device=CPU)
    signal = agent.training_signal(labels.hide(four_episodes(), BY_HAND))
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-1, 0, 1, 0]]
    assert signal.weight is None
