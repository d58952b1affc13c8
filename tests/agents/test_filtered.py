from __future__ import annotations

from helpers import BY_HAND, CPU, OPEN, four_episodes, on_the_way

from routed_rl.agents.filtered import Agent, Config
from routed_rl.rollouts import labels


def test_an_episode_that_is_unknown_has_no_weight() -> None:
    agent = Agent(BY_HAND, Config(hidden=(4,)), seed=0, device=CPU)
    signal = agent.training_signal(labels.hide(four_episodes(), BY_HAND))
    assert signal.reward.tolist() == [[0, 0, 0, 0], [-1, 0, 1, 0]]
    assert signal.weight is not None
    assert signal.weight.tolist() == [[1, 0, 1, 1], [1, 0, 1, 1]]


def test_where_outcomes_end_nothing_a_segment_has_weight_if_all_of_it_was_seen() -> None:
    agent = Agent(OPEN, Config(hidden=(4,)), seed=0, device=CPU)
    rollout = on_the_way(
        outcome=[[0, 0], [2, 2], [1, 0], [0, 0]],
        overseen=[[1, 0], [1, 1], [0, 1], [1, 1]],
        terminated=[[0, 0], [0, 0], [0, 0], [1, 0]],
    )
    signal = agent.training_signal(labels.hide(rollout, OPEN))
    # Step t pays t + 1, and the ghost of step 1, which is reported, costs 3.
    assert signal.reward.T.tolist() == [[1, -1, 0, 4], [0, -1, 3, 4]]
    assert signal.weight is not None
    assert signal.weight.T.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
