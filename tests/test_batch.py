from __future__ import annotations

import pytest
import torch
from helpers import CPU, world
from torch import Tensor

from routed_rl import labels
from routed_rl.batch import Batch, Inputs
from routed_rl.labels import Label
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Blueprint
from routed_rl.rewards import reached
from routed_rl.rollout import collect


def numbered(which: list[int]) -> Batch:
    """Sample i has action i; input j shows the number 10 j."""
    inputs = Inputs(10.0 * torch.arange(max(which) + 1)[:, None])
    action = torch.arange(len(which))
    return Batch(inputs, torch.tensor(which), action, *(action.float() for _ in range(4)))


def shown(batch: Batch) -> list[tuple[int, float]]:
    return list(zip(batch.action.tolist(), batch.inputs.obs[batch.which].squeeze(1).tolist(), strict=True))


def test_samples_keep_their_inputs_when_some_are_taken() -> None:
    taken = numbered([2, 0, 1, 2, 2]).take(torch.tensor([4, 1, 3]))
    assert shown(taken) == [(4, 20.0), (1, 0.0), (3, 20.0)]
    assert len(taken.inputs.obs) == 2


@pytest.mark.parametrize(("most", "sizes"), [(9, [5]), (5, [5]), (4, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5)])
def test_parts_have_few_inputs_and_every_sample_once(most: int, sizes: list[int]) -> None:
    batch = numbered([3, 0, 1, 3, 4, 2, 0])
    parts = list(batch.parts(most))
    assert [len(part.inputs.obs) for part in parts] == sizes
    assert sorted(pair for part in parts for pair in shown(part)) == shown(batch)


def learner(algorithm: str) -> Learner:
    blueprint = Blueprint((4, 3, 3), 4, ("diamond", "ghost"), (16, 16), gate=True)
    config = LearnerConfig(hidden=(16, 16), algorithm=algorithm)  # type: ignore[arg-type]
    return Learner(blueprint, config, discount=0.97, gate_coefficient=0.1, seed=0, device=CPU)


def gradients(learner: Learner, batch: Batch, *parts: Batch) -> tuple[list[Tensor], dict[str, Tensor]]:
    for module in learner.modules:
        module.zero_grad()
    metrics: dict[str, Tensor] = {}
    for part in parts:
        loss, shares = learner.loss(part, batch)
        loss.backward()
        metrics = {name: metrics.get(name, 0.0) + share for name, share in shares.items()}
    return [p.grad.clone() for m in learner.modules for p in m.parameters() if p.grad is not None], metrics


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_distinct_inputs_and_parts_give_the_gradients_of_all_samples_at_once(algorithm: str) -> None:
    learning = learner(algorithm)
    env = world(64, rows=3, columns=3, oversight=0.5)
    rollout = labels.hide(collect(env, learning.act, env.reset(), 16), env.spec.outcome_rewards)
    assert rollout.label is not None
    keep, expert = labels.routes(rollout.label, 2), rollout.label - Label.KNOWN
    batch = learning.prepare(rollout, Lesson(reached(rollout), keep=keep, expert=expert))
    assert len(batch.inputs.obs) < 0.9 * len(batch.which)
    plain = batch._replace(inputs=batch.inputs.take(batch.which), which=torch.arange(len(batch.which)))
    assert torch.equal(plain.inputs.obs, rollout.obs.flatten(0, 1))
    expected, means = gradients(learning, plain, plain)
    scale = max(float(g.abs().max()) for g in expected)
    parts = list(batch.parts(100))
    assert len(parts) > 3
    for some in ([batch], parts):
        found, metrics = gradients(learning, batch, *some)
        assert all(torch.allclose(a, b, atol=1e-5 * scale) for a, b in zip(found, expected, strict=True))
        assert all(float(metrics[name]) == pytest.approx(float(means[name]), abs=1e-5) for name in means)
