from __future__ import annotations

import pytest
import torch
from helpers import BY_HAND, CPU, four_episodes

from routed_rl.agents.reward_model import Agent, Config
from routed_rl.rollouts import labels


@pytest.mark.parametrize("bad_reward", [0.0, -1.0])
def test_an_end_has_the_value_that_is_expected_of_it(bad_reward: float) -> None:
    config = Config(hidden=(4,), model_hidden=(4,), bad_reward=bad_reward)
    agent = Agent(BY_HAND, config, seed=0, device=CPU)
    rollout = labels.hide(four_episodes(), BY_HAND)
    good, bad = agent.model.probabilities(rollout.final_obs[1, 1:2]).squeeze(0)
    assert 0.01 < good < 0.99, "it is in doubt"
    reward = agent.training_signal(rollout).reward
    assert reward[0].tolist() == [0, 0, 0, 0]
    # A ghost that was reported, one that is inferred, a diamond that was reported, and nothing.
    expected = torch.tensor([bad_reward, float(good + bad_reward * bad), 1.0, 0.0])
    assert torch.allclose(reward[1], expected, atol=1e-6)
