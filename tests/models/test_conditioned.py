from __future__ import annotations

import pytest
import torch
from torch import nn

from routed_rl.models.conditioned import ConditionedNetwork, ConditionedTorso
from routed_rl.models.networks import cnn, mlp

NAN = float("nan")
WEIGHTS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [NAN, NAN]])


def test_the_weights_are_added_to_the_first_layer_and_a_gate_has_a_number_of_its_own() -> None:
    critic = ConditionedNetwork(mlp((3,), (4,), 1), 2)
    obs = torch.randn(3, 3)
    told = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = critic.rest(critic.first(obs) + told @ critic.by_weights.weight.T)
    torch.testing.assert_close(critic(obs, WEIGHTS), expected)
    assert critic(obs, WEIGHTS).isfinite().all()


@pytest.mark.parametrize("image", [False, True])
def test_the_weights_matter_and_without_them_it_is_the_plain_network(image: bool) -> None:
    shape = (1, 36, 36) if image else (3,)
    plain = (cnn if image else mlp)(shape, (8,), 1)
    critic = ConditionedNetwork(plain, 2)
    obs = torch.rand(1, *shape).expand(3, *shape)
    answers = critic(obs, WEIGHTS).squeeze(1)
    assert len(answers.unique()) == 3
    with torch.no_grad():
        critic.by_weights.weight.zero_()
    assert torch.equal(critic(obs, WEIGHTS), plain(obs))


def test_a_torso_acts_with_its_own_weights_until_others_are_given() -> None:
    torso = ConditionedTorso(ConditionedNetwork(mlp((3,), (4,)), 2), (0.25, 0.75))
    obs = torch.randn(5, 3)
    mixed = torso(obs)
    own = torch.tensor([0.25, 0.75]).expand(5, 2)
    others = torch.tensor([1.0, 0.0]).expand(5, 2)
    assert torch.equal(mixed.features, torso(obs, expert_weights=own).features)
    assert not torch.equal(mixed.features, torso(obs, expert_weights=others).features)
    assert mixed.gate_logits is None


def test_files_of_before_version_0_2_are_read() -> None:
    module = nn.ModuleDict({"critic": ConditionedNetwork(mlp((3,), (4,), 1), 2)})
    former = {name.replace("by_weights", "by_steer"): x for name, x in module.state_dict().items()}
    assert "critic.by_steer.weight" in former
    other = nn.ModuleDict({"critic": ConditionedNetwork(mlp((3,), (4,), 1), 2)})
    other.load_state_dict(former)
    obs = torch.randn(3, 3)
    assert torch.equal(other["critic"](obs, WEIGHTS), module["critic"](obs, WEIGHTS))
