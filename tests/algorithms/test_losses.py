from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

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


def test_gate_loss_weighs_samples_and_divides_by_their_number() -> None:
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 0.0]])
    labelled = torch.tensor([True, True, False])
    weight = torch.tensor([3.0, 0.5, 100.0])
    loss = losses.gate_loss(logits, torch.tensor([0, 1, 0]), labelled, weight)
    # (3 ln 2 + 0.5 ln(1 + e^2)) / 2
    assert loss == pytest.approx((3 * 0.693147 + 0.5 * 2.126928) / 2, abs=1e-5)


def test_gate_loss_without_labels_is_zero() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = losses.gate_loss(logits, torch.full((3,), -2), torch.zeros(3).bool())
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_risk_of_positives_and_unlabelled_by_hand() -> None:
    positive = torch.tensor([2.0, 0.0])
    unlabelled = torch.tensor([1.0, -3.0])
    as_positive = (softplus(-2) + softplus(0)) / 2
    wrongly = (softplus(2) + softplus(0)) / 2
    as_negative = (softplus(1) + softplus(-3)) / 2
    # Kiryo et al.: pi R_P^+ + max(0, R_U^- - pi R_P^-).
    risk = losses.non_negative_risk(positive, unlabelled, prior=0.25, share=0.0)
    assert as_negative - 0.25 * wrongly > 0
    assert risk == pytest.approx(0.25 * as_positive + as_negative - 0.25 * wrongly)
    risk = losses.non_negative_risk(positive, unlabelled, prior=0.75, share=0.0)
    assert as_negative - 0.75 * wrongly < 0
    assert risk == pytest.approx(0.75 * as_positive)
    # A tenth of everything is labelled, and another 0.15 of it are positives without a label.
    risk = losses.non_negative_risk(positive, unlabelled, prior=0.25, share=0.1)
    expected = 0.25 * as_positive + 0.9 * as_negative - 0.15 * wrongly
    assert risk == pytest.approx(expected)


def test_where_all_positives_are_labelled_the_risk_is_a_mean_cross_entropy() -> None:
    positive = torch.tensor([2.0])
    unlabelled = torch.tensor([1.0, -3.0, 0.5])
    logits = torch.cat((positive, unlabelled))
    truth = torch.tensor([1.0, 0.0, 0.0, 0.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
    risk = losses.non_negative_risk(positive, unlabelled, prior=0.25, share=0.25)
    assert risk == pytest.approx(float(expected))


def test_no_gradient_flows_into_what_is_only_compared_with() -> None:
    learnt, given = (torch.tensor([0.5, -0.5], requires_grad=True) for _ in range(2))
    for loss in (
        losses.policy_gradient_loss(learnt, given, ONE),
        losses.clipped_policy_loss(learnt, given, ONE, ONE, 0.2),
        losses.clipped_policy_loss(learnt, torch.zeros(2), given, ONE, 0.2),
        losses.value_loss(learnt, given, ONE),
    ):
        learnt.grad = None
        loss.backward()
        assert learnt.grad is not None
        assert given.grad is None


def test_an_unlabelled_sample_of_a_gate_of_one_expert_is_passed_over() -> None:
    assert losses.gate_loss(torch.zeros(1, 1), torch.tensor([-1]), torch.tensor([False])) == 0


def gate_loss(logits: Tensor, expert: Tensor, labelled: Tensor, weight: Tensor) -> Tensor:
    return losses.gate_loss(logits, expert.long(), labelled.bool(), weight)


def risk(positive: Tensor, unlabelled: Tensor) -> Tensor:
    return losses.non_negative_risk(positive, unlabelled, prior=0.5, share=0.1)


LOSSES: tuple[tuple[Callable[..., Tensor], tuple[Tensor, ...]], ...] = (
    (losses.policy_gradient_loss, (ONE, ONE, ONE)),
    (partial(losses.clipped_policy_loss, clip_range=0.2), (ONE, ONE, ONE, ONE)),
    (losses.value_loss, (ONE, ONE, ONE)),
    (losses.entropy_bonus, (ONE, ONE)),
    (gate_loss, (torch.ones(2, 2), ONE, ONE, ONE)),
    (risk, (ONE, ONE)),
)


@pytest.mark.parametrize(("loss", "given"), LOSSES)
def test_a_shape_that_would_broadcast_is_refused(
    loss: Callable[..., Tensor], given: tuple[Tensor, ...]
) -> None:
    loss(*given)
    for place, x in enumerate(given):
        for wrong in (x[..., None], torch.tensor(1.0)):
            with pytest.raises(ValueError, match=r"expected rank \d and one length for all, got"):
                loss(*given[:place], wrong, *given[place + 1 :])


def test_one_number_is_not_taken_for_all_samples() -> None:
    for loss, given in LOSSES[:4]:
        for place in range(len(given)):
            with pytest.raises(ValueError, match="one length"):
                loss(*given[:place], torch.ones(1), *given[place + 1 :])
    with pytest.raises(ValueError, match="one length"):
        gate_loss(torch.ones(2, 2), ONE, ONE, torch.ones(1))
