from __future__ import annotations

from helpers import BY_HAND, CPU, OPEN, four_episodes, two_open_episodes

from routed_rl.agents.oracle import Agent, Config


def test_the_truth_is_rewarded_and_it_says_that_it_sees_it() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,)), seed=0, device=CPU)
    signal = agent.training_signal(four_episodes())
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-1, -1, 1, 0]]
    assert agent.sees_everything


def test_where_outcomes_end_nothing_it_is_the_true_reward_too() -> None:
    agent = Agent(OPEN, Config(hidden=(4,)), seed=0, device=CPU)
    signal = agent.training_signal(two_open_episodes())
    assert signal.reward.T.tolist() == [[1, -1, 3, 4, 5]] * 2
    assert signal.weight is None
