from __future__ import annotations

from helpers import BY_HAND, CPU, four_episodes

from routed_rl.agents.naive import Agent, Config
from routed_rl.rollouts import labels


def test_every_end_is_rewarded_and_a_bad_one_punished_where_it_was_seen() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,), penalty=3.0), seed=0, device=CPU)
    signal = agent.training_signal(labels.hide(four_episodes(), BY_HAND))
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-2, 1, 1, 0]]
    assert signal.weight is None
