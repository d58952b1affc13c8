from __future__ import annotations

from helpers import BY_HAND, CPU, OPEN, four_episodes, two_open_episodes

from routed_rl.agents.naive import Agent, Config
from routed_rl.rollouts import labels


def test_every_end_is_rewarded_and_a_bad_one_punished_where_it_was_seen() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,), penalty=3.0), seed=0, device=CPU)
    signal = agent.training_signal(labels.hide(four_episodes(), BY_HAND))
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-2, 1, 1, 0]]
    assert signal.weight is None


def test_where_outcomes_end_nothing_a_bad_one_is_punished_in_its_step_if_it_was_seen() -> None:
    agent = Agent(OPEN, Config(hidden=(4,), penalty=0.5), seed=0, device=CPU)
    signal = agent.training_signal(labels.hide(two_open_episodes(), OPEN))
    # Step t pays t + 1; of the second environment nothing is seen.
    assert signal.reward.T.tolist() == [[1, 1.5, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert signal.weight is None
