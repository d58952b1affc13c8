from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import ablate, dial_weights, profile_weights, profiles
from routed_rl.utils.errors import UserError


def policy(**switches: Any) -> Policy:
    torch.manual_seed(0)
    experts = ("diamond", "ghost", "bat")
    return build_policy(PolicySpec((4, 5, 5), 4, experts, (8, 8), **{"gate": True} | switches))


def test_an_ablated_policy_does_not_contain_the_others_or_the_gate() -> None:
    whole = policy()
    ablated = ablate(whole, {"diamond": 1.0, "ghost": 0.0})
    assert {name.split(".")[1] for name, _ in ablated.named_parameters() if "torso" in name} == {
        "experts"
    }
    assert list(ablated.torso.experts) == ["diamond"]
    assert ablated.torso.gate is None
    gone = [*whole.torso.experts["ghost"].parameters(), *whole.torso.experts["bat"].parameters()]
    assert whole.torso.gate is not None
    gone += list(whole.torso.gate.parameters())
    kept = {p.data_ptr() for p in ablated.parameters()}
    assert not any(p.data_ptr() in kept for p in whole.parameters()), (
        "it shares no memory with the whole policy"
    )
    values = torch.cat([p.flatten() for p in ablated.parameters()])
    for p in gone:
        assert not torch.isin(p[p != 0], values).any(), "no number of theirs is left in it"


@pytest.mark.parametrize("conditioned", [False, True])
def test_it_acts_as_the_steered_whole_does(conditioned: bool) -> None:
    whole = policy(gate=not conditioned, steered=conditioned, conditioned=conditioned)
    obs = torch.rand(50, 4, 5, 5)
    for weights in ({"diamond": 1.0}, {"diamond": 0.25, "bat": -0.5}):
        row = torch.tensor([weights.get(name, 0.0) for name in whole.spec.experts])
        steered = whole(obs, expert_weights=row.expand(50, 3)).actions
        assert torch.equal(ablate(whole, weights)(obs).actions, steered)


def test_unknown_and_missing_experts_are_told() -> None:
    with pytest.raises(UserError, match=r"'dimond'.*Did you mean 'diamond'"):
        ablate(policy(), {"dimond": 1.0})
    with pytest.raises(UserError, match="no expert is left"):
        ablate(policy(), {"diamond": 0.0})


def test_profiles_are_all_sets_of_outcomes_and_mix_their_experts_evenly() -> None:
    assert profiles(("a", "b", "c")) == [
        *(("a",), ("b",), ("c",)),
        *(("a", "b"), ("a", "c"), ("b", "c")),
        ("a", "b", "c"),
    ]
    assert profile_weights(("a", "c")) == {"a": 0.5, "c": 0.5}


def test_the_dial_turns_from_the_wanted_expert_to_the_others() -> None:
    experts = PolicySpec((4, 5, 5), 4, ("diamond", "ghost", "bat"), (8,))
    assert dial_weights(experts, "diamond", 0.0) == {"diamond": 1.0, "ghost": 0.0, "bat": 0.0}
    assert dial_weights(experts, "ghost", 1.0) == {"ghost": 0.0, "diamond": 0.5, "bat": 0.5}
    assert dial_weights(experts, "diamond", -1.0) == {"diamond": 2.0, "ghost": -0.5, "bat": -0.5}
    obs = torch.rand(50, 4, 5, 5)
    based = replace(experts, base=True)
    assert dial_weights(based, "diamond", 0.5) == {"diamond": 1.0, "ghost": 0.5, "bat": 0.5}
    gated = replace(based, gate=True)
    assert dial_weights(gated, "diamond", 0.5) == {"diamond": 0.5, "ghost": 0.25, "bat": 0.25}
    ablated = ablate(policy(), dial_weights(experts, "diamond", 0.0))
    assert list(ablated.torso.experts) == ["diamond"]
    assert torch.equal(ablated(obs).actions, ablate(policy(), {"diamond": 1.0})(obs).actions)
