"""Policies of Stable-Baselines3 as ours: what they say is the same, and what cannot be is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from corridor import RELU, Corridor, corridors, differing, gridworld_ppo, ppo, trained
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from torch import Tensor

from routed_rl import sb3
from routed_rl.models.export import export, load_policy
from routed_rl.models.steering import ablate


def test_export_without_the_unwanted_expert(tmp_path: Path) -> None:
    policy: Any = differing(gridworld_ppo()).policy
    obs = torch.rand(20, 4, 5, 5)

    def theirs() -> Tensor:
        return policy.get_distribution(obs).distribution.probs

    mixture = sb3.categorical(policy)
    assert torch.allclose(mixture.probabilities(obs), theirs(), atol=1e-6)
    export(ablate(mixture, {"diamond": 1.0}), tmp_path / "policy.safetensors")
    policy.steer({"diamond": 1.0})
    deployed = load_policy(tmp_path / "policy.safetensors")
    assert torch.allclose(deployed.probabilities(obs), theirs(), atol=1e-6)
    assert not any("ghost" in name or "gate" in name for name in deployed.state_dict())


def test_what_cannot_be_converted_is_named() -> None:
    tanh: Any = ppo(corridors(1)).policy
    with pytest.raises(ValueError, match=r"activation_fn=nn\.ReLU is needed"):
        sb3.categorical(tanh)
    continuous: Any = ppo(corridors(1, continuous=True), policy_kwargs=RELU).policy
    with pytest.raises(ValueError, match="Box and Discrete are needed"):
        sb3.categorical(continuous)
    counted = sb3.RoutedActorCriticPolicy(
        spaces.Discrete(3), spaces.Discrete(2), lambda _: 0.1, outcomes=("good", "bad"), **RELU
    )
    with pytest.raises(ValueError, match="Box and Discrete are needed"):
        sb3.categorical(counted)

    class Other(FlattenExtractor):
        """Who knows what it does."""

    other: Any = ppo(corridors(1), policy_kwargs={**RELU, "features_extractor_class": Other}).policy
    with pytest.raises(ValueError, match="cannot convert these networks"):
        sb3.categorical(other)
    pictures: Any = ppo(corridors(1, image=True), policy_kwargs=RELU).policy
    with pytest.raises(ValueError, match="whose bytes it divides by 255"):
        sb3.categorical(pictures)


@pytest.mark.parametrize("arch", [[8], {"pi": [8], "vf": [4]}])
def test_what_is_converted_is_fixed_and_says_the_same(arch: Any) -> None:
    policy: Any = ppo(corridors(1), policy_kwargs={**RELU, "net_arch": arch}).policy
    copied = sb3.categorical(policy)
    obs = torch.randn(20, 5)
    assert torch.allclose(
        copied.probabilities(obs), policy.get_distribution(obs).distribution.probs, atol=1e-6
    )
    assert not copied.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())


def test_pictures_whose_bytes_are_taken_as_they_are_can_be_converted() -> None:
    policy = sb3.RoutedActorCriticPolicy(
        spaces.Box(0, 255, (1, 4, 4), np.uint8),
        spaces.Discrete(2),
        lambda _: 0.1,
        outcomes=("good", "bad"),
        features_extractor_class=FlattenExtractor,
        normalize_images=False,
        **RELU,
    )
    assert sb3.categorical(policy).probabilities(torch.zeros(3, 1, 4, 4)).shape == (3, 2)


def of_each(scale: type[gymnasium.Wrapper[Any, Any, Any, Any]] | None) -> VecEnv:
    return make_vec_env(Corridor, 2, wrapper_class=scale)  # type: ignore[arg-type]


def one_of_two() -> VecEnv:
    """Make two corridors, one of which is normalised."""
    return DummyVecEnv([Corridor, lambda: gymnasium.wrappers.NormalizeObservation(Corridor())])


@pytest.mark.parametrize(
    ("env", "normalised"),
    [
        (VecNormalize(corridors(2)), True),
        (sb3.ReachedReward(VecNormalize(corridors(2), norm_reward=False)), True),
        (of_each(gymnasium.wrappers.NormalizeObservation), True),
        (VecNormalize(corridors(2), norm_obs=False), False),
        (one_of_two(), True),
        (of_each(None), False),
    ],
)
def test_normalised_observations_are_not_lost_without_a_word(
    env: VecEnv, tmp_path: Path, *, normalised: bool
) -> None:
    model = trained(ppo(env, policy_kwargs=RELU))
    model.save(tmp_path / "model.zip")
    for policy in (model.policy, PPO.load(tmp_path / "model.zip", device="cpu").policy):
        assert isinstance(policy, sb3.RoutedActorCriticPolicy)
        if normalised:
            with pytest.raises(ValueError, match="pass obs_normalised=True"):
                sb3.categorical(policy)
        copied = sb3.categorical(policy, obs_normalised=normalised)
        obs = torch.randn(20, 5)
        theirs: Any = policy.get_distribution(obs).distribution
        assert torch.allclose(copied.probabilities(obs), theirs.probs, atol=1e-6)


def test_it_is_the_last_training_that_counts(tmp_path: Path) -> None:
    model = trained(ppo(VecNormalize(corridors(2)), policy_kwargs=RELU))
    policy: Any = model.policy
    older = policy.state_dict()
    del older["obs_normalised"]
    model.set_env(corridors(2))
    trained(model)
    sb3.categorical(policy)
    policy.load_state_dict(older)
    assert not policy.obs_normalised, "an older zip does not say"
    assert "obs_normalised" not in older
