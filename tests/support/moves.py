"""Walks over a board, written in letters: u, d, l, r."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.evaluation.exact import Evaluation, ExactEvaluator
from routed_rl.worlds.vec_env import Step, VecEnv

LETTERS = "udlr"


class Walk(NamedTuple):
    """What came of a walk: sums over its steps, and its steps."""

    paid: float
    true: float
    outcomes: list[int]
    steps: list[Step]


def walk(env: VecEnv, moves: str) -> Walk:
    """Let every environment make some moves; what is summed is of the first."""
    steps = [env.step(torch.full((env.num_envs,), LETTERS.index(move))) for move in moves]
    paid = sum(step.reward[0].item() for step in steps)
    true = sum(step.true_reward[0].item() for step in steps)
    return Walk(paid, true, [int(step.outcome[0]) for step in steps], steps)


def evaluate(env: VecEnv, policy: Tensor) -> Evaluation:
    """Evaluate action probabilities (S, A) exactly."""
    model = env.model()
    assert model is not None
    spec = env.spec
    return ExactEvaluator(model, horizon=spec.horizon, discount=spec.discount).evaluate(policy)


def always(env: VecEnv, move: str) -> Tensor:
    """Return the policy that always makes one move, (S, A)."""
    model = env.model()
    assert model is not None
    policy = torch.zeros(model.next_state.shape)
    policy[:, LETTERS.index(move)] = 1.0
    return policy
