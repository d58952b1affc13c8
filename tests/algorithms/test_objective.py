"""The objective of two samples, computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from routed_rl.algorithms.batch import Batch, Inputs
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.objective import Objective, Outputs
from routed_rl.models.distributions import Categorical

OUTPUTS = Outputs(
    actions=torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]]),  # 1/2, 1/2 and 1/4, 3/4
    values=torch.tensor([1.0, 2.0]),
    gate=torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]]),
)
BATCH = Batch(
    inputs=Inputs(torch.zeros(2, 1)),
    input_index=torch.tensor([1, 0]),  # the first sample has the second input
    action=torch.tensor([1, 0]),
    log_prob=torch.tensor([0.75, 0.5]).log(),
    advantage=torch.tensor([2.0, -1.0]),
    value_target=torch.tensor([5.0, 1.0]),
    weight=torch.tensor([1.0, 1.0]),
    gate_target=torch.tensor([1, -1]),
)
ENTROPY = (math.log(2.0) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)) / 2


def objective(gate_coefficient: float = 0.0, **settings: Any) -> Objective:
    config = LearnerConfig(**settings)
    return Objective(config, Categorical(), gate_coefficient)


def test_reinforce_by_hand() -> None:
    sums = objective(10.0, algorithm="reinforce", vf_coef=100.0, ent_coef=1000.0)
    loss, metrics = sums(OUTPUTS, BATCH, BATCH)
    policy = -(2 * math.log(0.75) - math.log(0.5)) / 2
    value = ((2 - 5) ** 2 + 0) / 2
    gate = -math.log(0.75)  # of the one sample with a target
    expected = policy + 100 * value - 1000 * ENTROPY + 10 * gate
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert {name: float(metric) for name, metric in metrics.items()} == pytest.approx(
        {
            "train/policy_loss": policy,
            "train/value_loss": value,
            "train/entropy": ENTROPY,
            "train/kl": 0.0,
            "gate/loss": gate,
            "gate/accuracy": 1.0,
        },
        abs=1e-6,
    )


def test_ppo_clips_the_ratio() -> None:
    # Ratios 2 and 1: of the first no more than 1.5 counts.
    before = BATCH._replace(log_prob=torch.tensor([0.375, 0.5]).log())
    sums = objective(algorithm="ppo", vf_coef=0.0, ent_coef=0.0, clip_range=0.5)
    loss, metrics = sums(OUTPUTS, before, before)
    assert float(loss) == pytest.approx(-(1.5 * 2 - 1) / 2)
    assert float(metrics["train/kl"]) == pytest.approx((2 - 1 - math.log(2.0)) / 2)


def test_accuracy_is_of_samples_with_a_target_alone() -> None:
    # The gate chooses expert 1 for the first, and expert 0 for the second.
    for targets, expected in (([1, 0], 1.0), ([1, 1], 0.5), ([0, -1], 0.0), ([0, 0], 0.5)):
        batch = BATCH._replace(gate_target=torch.tensor(targets))
        _, metrics = objective(1.0)(OUTPUTS, batch, batch)
        assert float(metrics["gate/accuracy"]) == expected


def test_without_any_target_the_gates_loss_is_zero_and_no_nan() -> None:
    batch = BATCH._replace(gate_target=torch.tensor([-1, -2]))
    loss, metrics = objective(10.0)(OUTPUTS, batch, batch)
    assert float(loss) == float(objective(0.0)(OUTPUTS, BATCH, BATCH)[0])
    assert metrics["gate/loss"] == metrics["gate/accuracy"] == 0


@pytest.mark.parametrize("targets", [(1, 0), (1, -1), (-1, -1)])
def test_parts_add_up_to_the_whole(targets: tuple[int, int]) -> None:
    batch = BATCH._replace(gate_target=torch.tensor(targets))
    sums = objective(10.0, algorithm="ppo")
    whole, metrics = sums(OUTPUTS, batch, batch)
    added = torch.zeros(())
    added_metrics: dict[str, Tensor] = {}
    for number in (0, 1):
        part = batch.take(torch.tensor([number]))
        row = batch.input_index[number : number + 1]
        outputs = Outputs(*(x[row] for x in OUTPUTS if x is not None))
        loss, shares = sums(outputs, part, batch)
        added = added + loss
        added_metrics = {name: added_metrics.get(name, 0) + x for name, x in shares.items()}
    assert float(added) == pytest.approx(float(whole))
    assert added_metrics.keys() == metrics.keys()
    for name, metric in metrics.items():
        assert float(added_metrics[name]) == pytest.approx(float(metric)), name


def test_without_a_gate_or_a_target_there_is_no_loss_of_it() -> None:
    sums = objective(10.0)
    for outputs, batch in (
        (OUTPUTS._replace(gate=None), BATCH),
        (OUTPUTS, BATCH._replace(gate_target=None)),
    ):
        loss, metrics = sums(outputs, batch, batch)
        plain, _ = objective(0.0)(OUTPUTS, BATCH, BATCH)
        assert float(loss) == pytest.approx(float(plain))
        assert "gate/loss" not in metrics


def test_coefficients_go_by_their_schedules() -> None:
    fixed = {"ent_coef": 0.5, "clip_range": 0.1}
    start = objective(ent_coef=2.0, entropy_schedule="linear", clip_range=0.4)
    later = start._replace(
        progress=0.75, config=replace(start.config, clip_range_schedule="linear")
    )
    assert float(later(OUTPUTS, BATCH, BATCH)[0]) == float(
        objective(**fixed)(OUTPUTS, BATCH, BATCH)[0]
    )
    assert float(start(OUTPUTS, BATCH, BATCH)[0]) == float(
        objective(ent_coef=2.0, clip_range=0.4)(OUTPUTS, BATCH, BATCH)[0]
    )
