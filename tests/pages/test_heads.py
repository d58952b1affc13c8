"""Tables of experts, mixed by a formula, are what the policies compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from routed_rl.models.policy import Policy
from routed_rl.models.steering import ablate
from routed_rl.pages.heads import Heads, logits, take_apart
from routed_rl.training import builder


def policies_of(*flags: str) -> tuple[dict[str, Policy], Tensor]:
    """Return an untrained agent's policies, moved away from their equal start, and some states."""
    setup = builder.build(["--env.rows", "3", "--env.columns", "3", *flags], "test")
    env = setup.make_env(1, seed=0)
    agent = setup.make_agent(env)
    policies = agent.policies()
    torch.manual_seed(1)
    source = max(policies.values(), key=lambda policy: len(policy.spec.experts))
    with torch.no_grad():
        for parameter in source.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    model = env.model()
    assert model is not None
    states = torch.arange(0, len(model.next_state), 17)
    return agent.policies(), model.observe(states)


def mixed(heads: Heads, name: str) -> Tensor:
    return logits(heads, heads.weights[name]).softmax(dim=1)


@pytest.mark.parametrize(
    "flags",
    [
        ("--agent", "routed"),
        ("--agent", "routed", "--agent.no-gate"),
        ("--agent", "absorbing"),
        ("--agent", "naive"),
        ("--agent", "routed", "--env.outcomes", "diamond", "ghost", "pit"),
    ],
)
def test_every_policy_is_its_weights(flags: tuple[str, ...]) -> None:
    policies, obs = policies_of(*flags)
    heads = take_apart(policies, obs)
    assert set(heads.weights) == set(policies)
    assert len(heads.names) == heads.experts  # no policy needed a table of its own
    for name, policy in policies.items():
        torch.testing.assert_close(mixed(heads, name), policy.probabilities(obs))


@pytest.mark.parametrize("weights", [(1.0, 0.0), (-1.0, 2.0), (0.3, 0.45), (2.0, 2.0)])
def test_any_weights_are_those_of_the_ablated_policy(weights: tuple[float, float]) -> None:
    policies, obs = policies_of("--agent", "routed")
    heads = take_apart(policies, obs)
    chosen = dict(zip(("diamond", "ghost"), weights, strict=True))
    wanted = ablate(policies["mixture"], chosen).probabilities(obs)
    found = logits(heads, chosen).softmax(dim=1)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    assert float((wanted.amax(dim=1) - wanted.amin(dim=1)).max()) > 0.5  # the test can fail


def test_a_conditioned_network_has_a_table_for_each_policy() -> None:
    policies, obs = policies_of("--agent", "absorbing", "--agent.conditioned")
    heads = take_apart(policies, obs)
    assert heads.experts == 0
    assert heads.names == [f"policy {name}" for name in policies]
    for name, policy in policies.items():
        torch.testing.assert_close(mixed(heads, name), policy.probabilities(obs))


def test_a_policy_that_is_not_what_it_says_gets_a_table() -> None:
    policies, obs = policies_of("--agent", "routed")
    liar = policies["ghost"]
    with torch.no_grad():
        liar.head.bias[0] += 1.0
    heads = take_apart(policies, obs)
    assert heads.names == ["diamond", "ghost", "policy ghost"]
    torch.testing.assert_close(mixed(heads, "ghost"), liar.probabilities(obs))
    torch.testing.assert_close(mixed(heads, "mixture"), policies["mixture"].probabilities(obs))
