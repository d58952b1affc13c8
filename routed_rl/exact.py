"""Exact evaluation: what a policy really does, by dynamic programming over every state.

An environment that gives its `Model` has S states, and a policy is a table of action probabilities
(S, A): there is no sampling noise in anything here. Numbers are float64.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.env import NOTHING, Model

WINDOW = 32
"""Steps in a window of the paper's stepwise return."""


@dataclass(frozen=True)
class Evaluation:
    """What a policy does, at the environment's oversight unless said."""

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


class ExactEvaluator:
    """Evaluates policies on one model; what does not depend on the policy is computed once."""

    def __init__(self, model: Model, *, horizon: int, discount: float) -> None:
        """Prepare the tables of `model`; `horizon` in steps, `discount` per step."""
        self.model, self._horizon, self._discount = model, horizon, discount
        states, actions = model.next_state.shape
        device = model.next_state.device
        self._goes_on = (model.outcome == NOTHING).double()
        self._reward = model.reward.double()
        self._reach = torch.stack(
            [model.outcome == k for k in range(model.watched.shape[1] + 1)]
        ).double()  # (K+1, S, A)
        # Transitions as sparse rows: by the state they leave, and by the state they enter.
        self._row_starts = torch.arange(0, states * actions + 1, actions, device=device)
        entered = model.next_state.flatten()
        self._by_entered = entered.argsort(stable=True)
        self._entered_starts = torch.searchsorted(entered[self._by_entered], torch.arange(states + 1, device=device))
        powers = 2 ** torch.arange(model.watched.shape[1], device=device)
        codes, self._condition = (model.watched * powers).sum(dim=1).unique(return_inverse=True)
        self._conditions = [tuple((code & powers > 0).tolist()) for code in codes]

    def evaluate(self, policy: Tensor, *, window: int = WINDOW) -> Evaluation:
        """Evaluate a policy.

        The stepwise return is the paper's (appendix F): windows begin with a reset and cut episodes at their
        edge. With f_k the distribution over states at age k, V_n the value with n steps left and q_u the chance
        that an episode starts at window time u it is (1/W) sum_u q_u sum_{k < min(H, W-u)} <f_k, V_min(H-k, W-u-k)>.

        Args:
            policy: (S, A) action probabilities.
            window: W, in steps.

        Returns:
            The evaluation.
        """
        policy = policy.double()
        values = self._values(policy)
        ages = self._occupancy(policy)
        alive = ages.sum(dim=1)
        ends = torch.stack([(ages @ (policy * reach).sum(dim=1)).sum() for reach in self._reach])
        ends[NOTHING] = 1 - ends[1:].sum()
        per_condition = torch.zeros(len(self._conditions), dtype=torch.float64, device=values.device)
        per_condition.index_add_(0, self._condition, self.model.scene_weight * values[-1])
        return Evaluation(
            mean_return=float(self.model.start_weight @ values[-1]),
            by_condition=dict(zip(self._conditions, per_condition.tolist(), strict=True)),
            outcomes=tuple(ends.tolist()),
            mean_length=float(alive.sum()),
            stepwise_return=_stepwise((ages @ values.T).tolist(), alive.tolist(), window),
        )

    def mean_return(self, policy: Tensor) -> float:
        """Return the expected discounted return of an episode alone, for action probabilities (S, A)."""
        return float(self.model.start_weight @ self._values(policy.double())[-1])

    def optimum(self) -> tuple[float, Tensor]:
        """Find the best policy by value iteration.

        Returns:
            Its expected discounted return, and its action probabilities (S, A) with all steps left; ties are shared.
        """
        value, action_value = torch.zeros_like(self._reward[:, 0]), self._reward
        for _ in range(self._horizon):
            action_value = self._reward + self._discount * self._goes_on * value[self.model.next_state]
            value = action_value.amax(dim=1)
        best = (action_value >= value[:, None] - 1e-12).double()
        return float(self.model.start_weight @ value), best / best.sum(dim=1, keepdim=True)

    def _values(self, policy: Tensor) -> Tensor:
        """Return V_n(s), the expected return with n steps left, for n = 0 ... H: (H + 1, S)."""
        onward = self._discount * policy * self._goes_on
        transition = _sparse(self._row_starts, self.model.next_state.flatten(), onward.flatten())
        values = [torch.zeros_like(policy[:, 0])]
        expected_reward = (policy * self._reward).sum(dim=1)
        for _ in range(self._horizon):
            values.append(expected_reward + transition @ values[-1])
        return torch.stack(values)

    def _occupancy(self, policy: Tensor) -> Tensor:
        """Return the chance that an episode is in each state at age k = 0 ... H - 1: (H, S)."""
        order, actions = self._by_entered, policy.shape[1]
        transition = _sparse(self._entered_starts, order // actions, (policy * self._goes_on).flatten()[order])
        ages = [self.model.start_weight]
        for _ in range(self._horizon - 1):
            ages.append(transition @ ages[-1])
        return torch.stack(ages)


def _sparse(row_starts: Tensor, columns: Tensor, entries: Tensor) -> Tensor:
    """Make a square sparse matrix of compressed rows, which torch calls a beta feature at every start."""
    states = len(row_starts) - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(row_starts, columns, entries, (states, states), check_invariants=False)


def _stepwise(products: list[list[float]], alive: list[float], window: int) -> float:
    """Sum <f_k, V_n> (H, H + 1) over a window; `alive` is the chance that an episode gets to each age below H."""
    horizon = len(alive)
    length = [a - b for a, b in zip(alive, [*alive[1:], 0.0], strict=True)]  # chance of k + 1 steps
    starts = [1.0]
    for u in range(1, window):
        starts.append(sum(starts[u - k - 1] * length[k] for k in range(min(u, horizon))))
    total = 0.0
    for u, chance in enumerate(starts):
        left = window - u
        total += chance * sum(products[k][min(horizon - k, left - k)] for k in range(min(horizon, left)))
    return total / window
