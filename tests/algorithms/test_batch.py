from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU, world
from torch import Tensor

from routed_rl.algorithms.batch import Batch, Inputs
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.rollouts import labels
from routed_rl.rollouts.rewards import reached
from routed_rl.rollouts.rollout import collect
from routed_rl.worlds.outcomes import expert_of


def numbered(which: list[int]) -> Batch:
    """Make samples: number i has action i and sees input which[i], which shows ten times that."""
    inputs = Inputs(10.0 * torch.arange(max(which) + 1)[:, None])
    action = torch.arange(len(which))
    return Batch(inputs, torch.tensor(which), action, *(action.float() for _ in range(4)))


def shown(batch: Batch) -> list[tuple[int, float]]:
    """Pair the action of each sample with what it shows."""
    seen = batch.inputs.obs[batch.input_index].squeeze(1)
    return list(zip(batch.action.tolist(), seen.tolist(), strict=True))


def test_samples_keep_their_inputs_when_some_are_taken() -> None:
    taken = numbered([2, 0, 1, 2, 2]).take(torch.tensor([4, 1, 3]))
    assert shown(taken) == [(4, 20.0), (1, 0.0), (3, 20.0)]
    assert len(taken.inputs.obs) == 2


@pytest.mark.parametrize(
    ("most", "sizes"), [(9, [5]), (5, [5]), (4, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5)]
)
def test_parts_have_few_inputs_and_every_sample_once(most: int, sizes: list[int]) -> None:
    batch = numbered([3, 0, 1, 3, 4, 2, 0])
    parts = list(batch.parts(most))
    assert [len(part.inputs.obs) for part in parts] == sizes
    assert sorted(pair for part in parts for pair in shown(part)) == shown(batch)


def learner(algorithm: Any) -> Learner:
    spec = PolicySpec((4, 3, 3), 4, ("diamond", "ghost"), (16, 16), gate=True)
    config = LearnerConfig(hidden=(16, 16), algorithm=algorithm)
    return Learner(spec, config, discount=0.97, gate_coefficient=0.1, seed=0, device=CPU)


def gradients(
    learning: Learner, batch: Batch, parts: list[Batch]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Add up the gradients and the metrics of the parts of a batch."""
    for module in learning.modules:
        module.zero_grad()
    metrics: dict[str, Tensor] = {}
    for part in parts:
        loss, shares = learning.loss(part, batch)
        loss.backward()
        metrics = {name: metrics.get(name, 0.0) + share for name, share in shares.items()}
    parameters = [p for module in learning.modules for p in module.parameters()]
    return [p.grad.clone() for p in parameters if p.grad is not None], metrics


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_distinct_inputs_and_parts_give_the_gradients_of_all_samples_at_once(
    algorithm: str,
) -> None:
    learning = learner(algorithm)
    env = world(64, rows=3, columns=3, oversight=0.5)
    rollout = labels.hide(collect(env, learning.act, env.reset(), 16), env.spec)
    signal = TrainingSignal(
        reached(rollout),
        grad_mask=labels.routes(rollout.label, 2),
        gate_target=expert_of(rollout.label),
    )
    batch = learning.prepare(rollout, signal)
    samples = len(batch.input_index)
    assert len(batch.inputs.obs) < 0.9 * samples
    plain = batch._replace(
        inputs=batch.inputs.take(batch.input_index), input_index=torch.arange(samples)
    )
    assert torch.equal(plain.inputs.obs, rollout.obs.flatten(0, 1))
    expected, means = gradients(learning, plain, [plain])
    scale = max(float(g.abs().max()) for g in expected)
    parts = list(batch.parts(100))
    assert len(parts) > 3
    for some in ([batch], parts):
        found, metrics = gradients(learning, batch, some)
        pairs = zip(found, expected, strict=True)
        assert all(torch.allclose(ours, plain, atol=1e-5 * scale) for ours, plain in pairs)
        for name, mean in means.items():
            assert float(metrics[name]) == pytest.approx(float(mean), abs=1e-5), name
