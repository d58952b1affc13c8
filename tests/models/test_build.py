from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from routed_rl.models.build import build_critic, build_policy
from routed_rl.models.policy_spec import PolicySpec

SPEC = PolicySpec((3, 2, 2), 4, ("diamond", "ghost"), (8,), gate=True)
HIDDEN = replace(SPEC, dropped_channel=1)
KINDS = {
    "mixture": HIDDEN,
    "no gate": replace(HIDDEN, gate=False),
    "conditioned": replace(HIDDEN, gate=False, steered=True, conditioned=True),
    "continuous": replace(HIDDEN, continuous=True),
    "image": replace(HIDDEN, obs_shape=(3, 36, 36), image=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_does_not_see_the_channel_that_it_is_denied(kind: str) -> None:
    spec = KINDS[kind]
    policy = build_policy(spec)
    obs = torch.rand(5, *spec.obs_shape)
    for channel in range(3):
        other = obs.clone()
        other[:, channel] += 1.0
        same = torch.equal(policy(obs).actions, policy(other).actions)
        assert same == (channel == 1)


def test_experts_are_drawn_first_then_the_gate() -> None:
    states = []
    for spec in (SPEC, replace(SPEC, gate=False)):
        torch.manual_seed(0)
        states.append(build_policy(spec).torso.experts.state_dict())
    with_gate, without = states
    assert with_gate.keys() == without.keys()
    assert all(torch.equal(with_gate[name], without[name]) for name in with_gate)


@pytest.mark.parametrize("steered", [False, True])
def test_a_critic_is_told_who_acts_where_the_policy_is_steered(steered: bool) -> None:
    spec = replace(HIDDEN, steered=steered)
    critic = build_critic(spec)
    visible = torch.rand(5, *spec.visible_shape)
    if not steered:
        assert critic(visible).shape == (5, 1)
        return
    diamond = torch.tensor([[1.0, 0.0]]).expand(5, 2)
    assert critic(visible, diamond).shape == (5, 1)
    assert not torch.equal(critic(visible, diamond), critic(visible, 1 - diamond))
