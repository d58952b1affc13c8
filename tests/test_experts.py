from __future__ import annotations

import pytest
import torch
from torch import Tensor

from routed_rl.experts import Gate, MixtureOfExperts, _RoutedMix, mix
from routed_rl.networks import mlp

OUTCOMES = {2: ("diamond", "ghost"), 3: ("diamond", "ghost", "bat")}


def mixture(count: int = 2, *, gate: bool = True) -> MixtureOfExperts:
    torch.manual_seed(0)
    experts = {name: mlp((6,), (5,)) for name in OUTCOMES[count]}
    return MixtureOfExperts(experts, Gate(mlp((6,), (4,), Gate.logits_of(count)), count) if gate else None)


def gradients(module: torch.nn.Module) -> list[Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize("count", [2, 3])
def test_a_module_that_a_sample_must_not_train_gets_exactly_zero(count: int) -> None:
    obs = torch.randn(8, 6)
    for kept in range(count):
        torso = mixture(count)
        keep = torch.zeros(8, count + 1).bool()
        keep[:, kept] = True
        torso(obs, keep).features.square().sum().backward()
        for e, expert in enumerate(torso.experts.values()):
            zero = [bool((g == 0).all()) for g in gradients(expert)]
            assert zero == [e != kept] * 2
        assert torso.gate is not None
        assert all((g == 0).all() for g in gradients(torso.gate))


def test_the_gradient_of_a_mixed_batch_is_the_sum_over_samples_taken_alone() -> None:
    torso = mixture().double()
    obs = torch.randn(6, 6, dtype=torch.float64)
    keep = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0]]).bool()
    torso(obs, keep).features.square().sum().backward()
    together = {name: p.grad.clone() for name, p in torso.named_parameters() if p.grad is not None}
    apart = {name: torch.zeros_like(p) for name, p in torso.named_parameters()}
    for i in range(6):
        names = {f"experts.{name}": keep[i, e] for e, name in enumerate(OUTCOMES[2])} | {"gate": keep[i, 2]}
        torso.zero_grad()
        torso(obs[i : i + 1]).features.square().sum().backward()
        for name, p in torso.named_parameters():
            if next(kept for prefix, kept in names.items() if name.startswith(prefix)):
                apart[name] += p.grad
    for name in apart:
        assert torch.allclose(together[name], apart[name], rtol=1e-12, atol=1e-14), name


def test_the_routed_forward_is_the_plain_one_to_the_bit() -> None:
    torso, obs = mixture(), torch.randn(50, 6)
    plain, routed = torso(obs), torso(obs, torch.rand(50, 3) < 0.5)
    assert torch.equal(plain.features, routed.features)
    assert torch.equal(plain.gate_logits, routed.gate_logits)


def test_two_experts_share_one_logit_through_a_sigmoid() -> None:
    torso, obs = mixture(), torch.randn(4, 6)
    assert torso.gate is not None
    g = torch.sigmoid(torso.gate.network(obs))
    diamond, ghost = (expert(obs) for expert in torso.experts.values())
    assert torch.allclose(torso(obs).features, g * diamond + (1 - g) * ghost, atol=1e-6)


def test_steering_replaces_the_gate_where_it_is_given() -> None:
    torso, obs = mixture(), torch.randn(2, 6)
    steer = torch.tensor([[1.0, 0.0], [float("nan"), float("nan")]])
    features = torso(obs, steer=steer).features
    assert torch.equal(features[0], torso.experts["diamond"](obs)[0])
    assert torch.equal(features[1], torso(obs).features[1])


def test_without_a_gate_the_weights_are_equal() -> None:
    torso, obs = mixture(3, gate=False), torch.randn(4, 6)
    mean = sum(expert(obs) for expert in torso.experts.values()) / 3
    assert torch.allclose(torso(obs).features, mean, atol=1e-6)  # type: ignore[arg-type]
    assert torso(obs).gate_logits is None


def test_an_equal_start_has_equal_experts_and_an_undecided_gate() -> None:
    torso, obs = mixture(3), torch.randn(5, 6)
    torso.equalise()
    first, *others = (expert(obs) for expert in torso.experts.values())
    assert all(torch.equal(first, other) for other in others)
    assert torch.equal(torso(obs).gate_logits, torch.zeros(5, 3))
    keep = torch.tensor([[True, False, False, False]] * 5)
    torso(obs, keep).features.square().sum().backward()
    assert all((g == 0).all() for g in gradients(torso.experts["ghost"])), "a label tells them apart"
    assert any((g != 0).any() for g in gradients(torso.experts["diamond"]))


@pytest.mark.parametrize("experts", [2, 3])
def test_the_fast_mix_is_the_plain_one(experts: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(40, experts + 1, generator=generator) > 0.3
    outputs = []
    for fast in (True, False):
        generator.manual_seed(1)
        weights = torch.rand(40, experts, generator=generator).requires_grad_()
        parts = [torch.randn(40, 6, generator=generator).requires_grad_() for _ in range(experts)]
        mixed = _RoutedMix.apply(weights, keep, *parts) if fast else mix(weights, parts, keep)
        outputs.append([mixed, *torch.autograd.grad(mixed.square().sum(), [weights, *parts])])
    assert torch.equal(outputs[0][0], outputs[1][0])
    for ours, plain in zip(*outputs, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-5, atol=1e-6)
        assert torch.equal(ours == 0, plain == 0), "what is stopped is exactly 0"
