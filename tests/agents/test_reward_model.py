from __future__ import annotations

import pytest
import torch
from helpers import BY_HAND, CPU, OPEN, four_episodes, two_open_episodes

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


@pytest.mark.parametrize("bad_reward", [0.0, -1.0])
def test_where_outcomes_end_nothing_what_is_paid_is_corrected(bad_reward: float) -> None:
    config = Config(hidden=(4,), model_hidden=(4,), bad_reward=bad_reward)
    agent = Agent(OPEN, config, seed=0, device=CPU)
    rollout = labels.hide(two_open_episodes(), OPEN)
    before = agent.training_signal(rollout).reward
    # Step t pays t + 1. Before any report nothing is inferred; what was seen is certain.
    assert before.T.tolist() == [[1, 2 - 3, 3, 4, 5], [1, 2, 3, 4, 5]]
    agent.model.learn(rollout)
    good, bad = agent.model.probabilities(rollout.final_obs[:, 1]).unbind(dim=1)
    assert 0.01 < bad.min() < bad.max() < 0.99, "it is in doubt"
    after = agent.training_signal(rollout).reward
    assert torch.equal(after[:, 0], before[:, 0])
    # A diamond is worth no more than what is paid, and a ghost costs what it truly does.
    assert torch.allclose(after[:, 1], torch.arange(1.0, 6.0) - 3 * bad)
    assert (good > 0).all()


def test_what_is_paid_may_stay() -> None:
    config = Config(hidden=(4,), model_hidden=(4,), keep_paid=True, penalty=3.0)
    agent = Agent(BY_HAND, config, seed=0, device=CPU)
    rollout = labels.hide(four_episodes(), BY_HAND)
    bad = agent.model.probabilities(rollout.final_obs[1, 1:2])[0, 1]
    assert 0.01 < bad < 0.99, "it is in doubt"
    reward = agent.training_signal(rollout).reward
    assert reward[0].tolist() == [0, 0, 0, 0]
    # A ghost that was reported, one that is inferred, a diamond that was reported, and nothing.
    assert torch.allclose(reward[1], torch.tensor([1 - 3, 1 - 3 * float(bad), 1.0, 0.0]))


def test_of_several_models_the_worth_is_pessimistic() -> None:
    config = Config(hidden=(4,), model_hidden=(4,), bad_reward=-1.0, model_members=2, pessimism=3.0)
    agent = Agent(BY_HAND, config, seed=0, device=CPU)
    rollout = labels.hide(four_episodes(), BY_HAND)
    each = agent.model.infer_each(rollout)[:, 1, 1]  # of two models, of the ghost that nobody saw
    one, other = (float(good - bad) for good, bad in each)
    assert one != other
    reward = agent.training_signal(rollout).reward
    # The deviation of two numbers is half their distance.
    expected = (one + other) / 2 - 3 * abs(one - other) / 2
    assert torch.allclose(reward[1], torch.tensor([-1.0, expected, 1.0, 0.0]))


def test_settings_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match="model-members is 0: give 1 or more"):
        Config(model_members=0)
    with pytest.raises(ValueError, match="model-frames is 0: give 1 or more"):
        Config(model_frames=0)
    with pytest.raises(ValueError, match=r"pessimism is -1.0: it must be a number, 0 or above"):
        Config(pessimism=-1.0)
