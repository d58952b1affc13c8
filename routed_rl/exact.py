"""Exact evaluation: what a policy really does, by dynamic programming over every state.

An environment that gives its `Model` has S states, and a policy is a table of action probabilities
(S, A): there is no sampling noise in anything here. Numbers are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.env import NOTHING, Model

WINDOW = 32
"""Steps in a window of the paper's stepwise return."""


@dataclass(frozen=True)
class Exact:
    """What a policy does, at the oversight it was trained with unless said."""

    mean_return: float
    """Expected discounted return of an episode."""
    by_condition: dict[tuple[bool, ...], float]
    """The same, for each set of overseen ends (one bool an outcome)."""
    outcomes: tuple[float, ...]
    """Probability of nothing, then of each outcome."""
    mean_length: float
    """Expected steps of an episode."""
    stepwise_return: float
    """The paper's measure: the mean over windows of 32 steps of the return to go within the episode."""


def evaluate(model: Model, policy: Tensor, *, horizon: int, discount: float, window: int = WINDOW) -> Exact:
    """Evaluate a policy exactly.

    The stepwise return is the paper's (appendix F): windows begin with a reset and cut episodes at their
    edge. With f_k the distribution over states at age k, V_n the value with n steps left and q_u the chance
    that an episode starts at window time u it is (1/W) sum_u q_u sum_{k < min(H, W-u)} <f_k, V_min(H-k, W-u-k)>.

    Args:
        model: the environment as tables.
        policy: (S, A) action probabilities.
        horizon: steps after which an episode is cut off.
        discount: per step.
        window: W, in steps.

    Returns:
        The evaluation.
    """
    policy = policy.double()
    values = _values(model, policy, horizon, discount)  # (H + 1, S)
    ages, ends = _occupancy(model, policy, horizon)  # (H, S), (H, K + 1)
    by_condition = {}
    for condition in model.watched.unique(dim=0):
        inside = (model.watched == condition).all(dim=1)
        by_condition[tuple(condition.tolist())] = float(model.scene_weight[inside] @ values[-1, inside])
    alive = ages.sum(dim=1)
    outcomes = ends.sum(dim=0)
    outcomes[NOTHING] = 1 - outcomes[1:].sum()
    return Exact(
        mean_return=float(model.start_weight @ values[-1]),
        by_condition=by_condition,
        outcomes=tuple(outcomes.tolist()),
        mean_length=float(alive.sum()),
        stepwise_return=_stepwise(ages @ values.T, alive, horizon, window),
    )


def mean_return(model: Model, policy: Tensor, *, horizon: int, discount: float) -> float:
    """Return the expected discounted return of an episode alone; arguments as in `evaluate`."""
    return float(model.start_weight @ _values(model, policy.double(), horizon, discount)[-1])


def optimum(model: Model, *, horizon: int, discount: float) -> tuple[float, Tensor]:
    """Find the best policy by value iteration.

    Args:
        model: the environment as tables.
        horizon: steps after which an episode is cut off.
        discount: per step.

    Returns:
        Its expected discounted return, and its action probabilities (S, A) with all steps left; ties are shared.
    """
    goes_on = model.outcome == NOTHING
    value = torch.zeros(len(model.start_weight), dtype=torch.float64, device=model.reward.device)
    action_value = model.reward.double()
    for _ in range(horizon):
        action_value = model.reward + discount * goes_on * value[model.next_state]
        value = action_value.amax(dim=1)
    best = action_value >= value[:, None] - 1e-12
    return float(model.start_weight @ value), best / best.sum(dim=1, keepdim=True)


def _values(model: Model, policy: Tensor, horizon: int, discount: float) -> Tensor:
    """Return V_n(s), the expected return with n steps left, for n = 0 ... H: (H + 1, S)."""
    expected_reward = (policy * model.reward).sum(dim=1)
    onward = discount * policy * (model.outcome == NOTHING)
    values = expected_reward.new_zeros(horizon + 1, len(expected_reward))
    for n in range(horizon):
        values[n + 1] = expected_reward + (onward * values[n][model.next_state]).sum(dim=1)
    return values


def _occupancy(model: Model, policy: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
    """Return where episodes are at each age, (H, S), and what they reach with that step, (H, K + 1)."""
    kinds = model.watched.shape[1] + 1
    reach = torch.stack([(policy * (model.outcome == k)).sum(dim=1) for k in range(kinds)], dim=1)
    onward = policy * (model.outcome == NOTHING)
    target = model.next_state.flatten()
    ages = [model.start_weight]
    for _ in range(horizon - 1):
        flow = (ages[-1][:, None] * onward).flatten()
        ages.append(torch.zeros_like(model.start_weight).index_add_(0, target, flow))
    stacked = torch.stack(ages)
    return stacked, stacked @ reach


def _stepwise(products: Tensor, alive: Tensor, horizon: int, window: int) -> float:
    """Sum <f_k, V_n> (H, H + 1) over a window; `alive` (H,) is the chance that an episode gets to each age."""
    goes_on = [*alive.tolist()[1:], 0.0]
    length = [a - b for a, b in zip(alive.tolist(), goes_on, strict=True)]  # chance of k + 1 steps
    starts = [1.0]
    for u in range(1, window):
        starts.append(sum(starts[u - k - 1] * length[k] for k in range(min(u, horizon))))
    table = products.tolist()
    total = 0.0
    for u, chance in enumerate(starts):
        left = window - u
        total += chance * sum(table[k][min(horizon - k, left - k)] for k in range(min(horizon, left)))
    return total / window
