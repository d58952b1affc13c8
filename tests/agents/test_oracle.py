from __future__ import annotations

from helpers import BY_HAND, CPU, four_episodes

from routed_rl.agents.oracle import Agent, Config


def test_the_truth_is_rewarded_and_it_says_that_it_sees_it() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,)), seed=0, device=CPU)
    signal = agent.training_signal(four_episodes())
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-1, -1, 1, 0]]
    assert agent.sees_everything
