"""Mixtures of experts: what they compute, and that a gradient goes nowhere that it may not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from routed_rl.models.experts import Gate, MixtureOfExperts, mix
from routed_rl.models.networks import mlp
from routed_rl.routing import Parameters, routed

OUTCOMES = {2: ("diamond", "ghost"), 3: ("diamond", "ghost", "bat")}


def mixture(count: int = 2, *, gate: bool = True) -> MixtureOfExperts:
    torch.manual_seed(0)
    experts = {name: mlp((6,), (5,)) for name in OUTCOMES[count]}
    gate_network = mlp((6,), (4,), Gate.logits_of(count))
    return MixtureOfExperts(experts, Gate(gate_network, count) if gate else None)


def gradients(module: nn.Module) -> list[Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize("count", [2, 3])
def test_a_module_that_a_sample_must_not_train_gets_exactly_zero(count: int) -> None:
    obs = torch.randn(8, 6)
    for trained in range(count):
        torso = mixture(count)
        grad_mask = torch.zeros(8, count + 1).bool()
        grad_mask[:, trained] = True
        torso(obs, grad_mask).features.square().sum().backward()
        for e, expert in enumerate(torso.experts.values()):
            zero = [bool((g == 0).all()) for g in gradients(expert)]
            assert zero == [e != trained] * 2
        assert torso.gate is not None
        assert all((g == 0).all() for g in gradients(torso.gate))


def test_the_gradient_of_a_mixed_batch_is_the_sum_over_samples_taken_alone() -> None:
    torso = mixture().double()
    obs = torch.randn(6, 6, dtype=torch.float64)
    rows = [[1, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0]]
    grad_mask = torch.tensor(rows).bool()
    torso(obs, grad_mask).features.square().sum().backward()
    together = {name: p.grad.clone() for name, p in torso.named_parameters() if p.grad is not None}
    apart = {name: torch.zeros_like(p) for name, p in torso.named_parameters()}
    modules = [*(f"experts.{name}" for name in OUTCOMES[2]), "gate"]
    for i in range(6):
        torso.zero_grad()
        torso(obs[i : i + 1]).features.square().sum().backward()
        for name, p in torso.named_parameters():
            number = next(m for m, prefix in enumerate(modules) if name.startswith(prefix))
            if grad_mask[i, number]:
                apart[name] += p.grad
    for name in apart:
        assert torch.allclose(together[name], apart[name], rtol=1e-12, atol=1e-14), name


def test_the_routed_forward_is_the_plain_one_to_the_bit() -> None:
    torso = mixture()
    obs = torch.randn(50, 6)
    plain = torso(obs)
    routed = torso(obs, torch.rand(50, 3) < 0.5)
    assert torch.equal(plain.features, routed.features)
    assert torch.equal(plain.gate_logits, routed.gate_logits)


def test_two_experts_share_one_logit_through_a_sigmoid() -> None:
    torso = mixture()
    obs = torch.randn(4, 6)
    assert torso.gate is not None
    g = torch.sigmoid(torso.gate.network(obs))
    diamond, ghost = (expert(obs) for expert in torso.experts.values())
    assert torch.allclose(torso(obs).features, g * diamond + (1 - g) * ghost, atol=1e-6)


def test_expert_weights_replace_the_gates_where_they_are_given() -> None:
    torso = mixture()
    obs = torch.randn(2, 6)
    expert_weights = torch.tensor([[1.0, 0.0], [float("nan"), float("nan")]])
    features = torso(obs, expert_weights=expert_weights).features
    assert torch.equal(features[0], torso.experts["diamond"](obs)[0])
    assert torch.equal(features[1], torso(obs).features[1])


def test_without_a_gate_the_weights_are_equal() -> None:
    torso = mixture(3, gate=False)
    obs = torch.randn(4, 6)
    parts = torch.stack([expert(obs) for expert in torso.experts.values()])
    assert torch.allclose(torso(obs).features, parts.mean(dim=0), atol=1e-6)
    assert torso(obs).gate_logits is None


def test_tied_experts_are_equal_and_their_gate_is_undecided() -> None:
    torso = mixture(3)
    obs = torch.randn(5, 6)
    torso.tie_experts()
    first, *others = (expert(obs) for expert in torso.experts.values())
    assert all(torch.equal(first, other) for other in others)
    assert torch.equal(torso(obs).gate_logits, torch.zeros(5, 3))
    grad_mask = torch.tensor([[True, False, False, False]] * 5)
    torso(obs, grad_mask).features.square().sum().backward()
    assert all((g == 0).all() for g in gradients(torso.experts["ghost"])), (
        "a label tells them apart"
    )
    assert any((g != 0).any() for g in gradients(torso.experts["diamond"]))


class Constant(nn.Module):
    """An expert that gives the same features whatever it sees, so that they can get a gradient."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, obs: Tensor) -> Tensor:
        return self.features


@pytest.mark.parametrize("experts", [2, 3])
def test_the_fast_routed_mix_is_the_plain_one(experts: int) -> None:
    generator = torch.Generator().manual_seed(0)
    grad_mask = torch.rand(40, experts + 1, generator=generator) > 0.3
    weights = torch.rand(40, experts, generator=generator).requires_grad_()
    parts = [torch.randn(40, 6, generator=generator).requires_grad_() for _ in range(experts)]
    named = zip(OUTCOMES[experts], map(Constant, parts), strict=True)
    torso = MixtureOfExperts(dict(named))
    fast = torso(torch.zeros(40, 6), grad_mask, weights).features
    plain = mix(weights, parts, grad_mask)
    assert torch.equal(fast, plain)
    leaves = [weights, *parts]
    fast_gradients = torch.autograd.grad(fast.square().sum(), leaves)
    plain_gradients = torch.autograd.grad(plain.square().sum(), leaves)
    for ours, longhand in zip(fast_gradients, plain_gradients, strict=True):
        assert torch.allclose(ours, longhand, rtol=1e-5, atol=1e-6)
        assert torch.equal(ours == 0, longhand == 0), "what is stopped is exactly 0"


def test_stopping_outputs_is_masking_the_gradients_of_parameters() -> None:
    obs = torch.randn(8, 6, dtype=torch.float64)
    may = torch.rand(8, 3) < 0.5
    torso = mixture(2).double()
    torso(obs, may).features.square().sum().backward()
    stopped = [p.grad.clone() for p in torso.experts.parameters() if p.grad is not None]
    torso.zero_grad()
    rules = {f"experts.{name}": Parameters(may[:, e]) for e, name in enumerate(OUTCOMES[2])}
    with routed(torso, rules):
        torso(obs).features.square().sum().backward()
    masked = gradients(torso.experts)
    assert len(masked) == len(stopped) == 4
    for one, other in zip(stopped, masked, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
