from __future__ import annotations

import pytest
import torch

from routed_rl.algorithms import losses

ONE = torch.ones(2)


def test_policy_gradient_loss_by_hand() -> None:
    log_prob = torch.tensor([-1.0, -2.0])
    advantage = torch.tensor([3.0, 0.5])
    first = torch.tensor([1.0, 0.0])
    assert losses.policy_gradient_loss(log_prob, advantage, ONE) == pytest.approx((3 + 1) / 2)
    assert losses.policy_gradient_loss(log_prob, advantage, first) == pytest.approx(3 / 2)


def test_clipped_loss_by_hand() -> None:
    old = torch.zeros(4)
    new = torch.tensor([2.0, 2.0, 0.5, 0.5]).log()
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    # min(r A, clip(r) A): 1.2, -2, 0.5, -0.8
    loss = losses.clipped_policy_loss(new, old, advantage, torch.ones(4), 0.2)
    assert loss == pytest.approx((2 + 0.8 - 1.2 - 0.5) / 4)


def test_clipped_loss_has_no_gradient_beyond_the_clip() -> None:
    new = torch.tensor([2.0, 1.1]).log().requires_grad_()
    losses.clipped_policy_loss(new, torch.zeros(2), torch.ones(2), ONE, 0.2).backward()
    assert new.grad is not None
    assert new.grad[0] == 0
    assert new.grad[1] == pytest.approx(-1.1 / 2)


def test_value_loss_by_hand() -> None:
    value = torch.tensor([1.0, 2.0])
    target = torch.tensor([0.0, 4.0])
    assert losses.value_loss(value, target, torch.tensor([1.0, 0.5])) == 1.5


def test_entropy_by_hand() -> None:
    assert losses.entropy_bonus(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.5])) == 2.5


def test_gate_loss_is_the_mean_over_labelled_samples_and_their_binary_cross_entropy() -> None:
    logit = torch.tensor([0.3, -1.2, 5.0])
    logits = torch.stack((logit, torch.zeros(3)), dim=1)
    labelled = torch.tensor([True, True, False])
    target = torch.tensor([1.0, 0.0])  # the first expert is right, then the second
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit[:2], target)
    loss = losses.gate_loss(logits, torch.tensor([0, 1, -1]), labelled)
    assert loss == pytest.approx(float(expected))


def test_gate_loss_without_labels_is_zero() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = losses.gate_loss(logits, torch.full((3,), -2), torch.zeros(3).bool())
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_a_shape_that_would_broadcast_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 1"):
        losses.policy_gradient_loss(torch.zeros(2, 1), ONE, ONE)
    with pytest.raises(ValueError, match="one length"):
        losses.value_loss(torch.zeros(1), ONE, ONE)
