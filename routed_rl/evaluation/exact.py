"""Exact evaluation: what a policy really does, by dynamic programming over every state.

An environment that gives its `TabularMDP` has S states, and a policy is a table of action
probabilities (S, A): there is no sampling noise in anything here. Numbers are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.evaluation.transition_matrices import TransitionMatrices
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.tables import TabularMDP

WINDOW = 32
"""Steps in a window of the paper's stepwise return."""


@dataclass(frozen=True)
class Evaluation:
    """What a policy does, at the environment's oversight unless said."""

    mean_return: float
    """Expected discounted true return of an episode."""
    paid_return: float
    """The same of what the world pays."""
    score: float
    """What the world pays in an episode, undiscounted."""
    by_condition: dict[tuple[bool, ...], float]
    """The true return, for each set of overseen ends (one bool an outcome)."""
    outcomes: tuple[float, ...]
    """Probability that nothing happens in an episode, then that each outcome does at least once."""
    counts: tuple[float, ...]
    """How often each outcome happens in an episode, K expected numbers."""
    mean_length: float
    """Expected steps of an episode."""
    stepwise_return: float
    """The paper's measure: the mean over windows of 32 steps of the return to go in the episode."""


class ExactEvaluator:
    """Evaluates policies on one MDP; what does not depend on the policy is computed once."""

    def __init__(self, model: TabularMDP, *, horizon: int, discount: float) -> None:
        """Prepare the tables of `model`; `horizon` in steps, `discount` per step."""
        self.model = model
        self._horizon = horizon
        self._discount = discount
        self._matrices = TransitionMatrices(model.next_state)
        self._start = model.start_probability.double()
        self._paid = model.reward.double()
        self._reward = model.true_reward.double()
        self._goes_on = (~model.terminates).double()  # (S, A)
        # Where every outcome ends the episode, none can happen twice, nor one after another.
        self._outcomes_end = bool(model.terminates[model.outcome != NOTHING].all())
        num_ends = model.overseen_ends.shape[1]
        reaches = [model.outcome == k for k in range(num_ends + 1)]
        self._reach = torch.stack(reaches).double()  # (K + 1, S, A)
        # Room that every evaluation writes over: fresh memory would cost half of its time.
        states = len(self._reward)
        self._values_room = self._reward.new_empty(horizon + 1, states)
        self._ages_room = self._reward.new_empty(horizon, states)
        # A set of overseen ends is a binary number, one bit an outcome.
        powers = 2 ** torch.arange(num_ends, device=model.next_state.device)
        numbers = (model.overseen_ends * powers).sum(dim=1)
        codes, self._condition = numbers.unique(return_inverse=True)  # (conditions,), (S,)
        self._conditions = [tuple((code & powers > 0).tolist()) for code in codes]

    def evaluate(self, policy: Tensor, *, window: int = WINDOW) -> Evaluation:
        """Evaluate a policy.

        Args:
            policy: (S, A) action probabilities.
            window: of the stepwise return, in steps.
        """
        policy = policy.double()
        values = self._values(policy)
        ages = self._occupancy(policy)
        alive = ages.sum(dim=1)  # (H,) probability that an episode reaches each age
        # E(k) = sum over ages n and states s of f_n(s) * sum_a pi(a | s) [(s, a) is outcome k]
        counts = torch.stack([(ages @ (policy * reach).sum(dim=1)).sum() for reach in self._reach])
        powers = self._discount ** torch.arange(self._horizon, device=ages.device).double()
        paid = ages @ (policy * self._paid).sum(dim=1)  # (H,) <f_n, r> at each age n
        return Evaluation(
            mean_return=float(self._start @ values[-1]),
            paid_return=float(powers @ paid),
            score=float(paid.sum()),
            by_condition=self._by_condition(values[-1]),
            outcomes=self._shares(policy, counts),
            counts=tuple(counts[1:].tolist()),
            mean_length=float(alive.sum()),
            stepwise_return=_stepwise((ages @ values.T).tolist(), alive.tolist(), window),
        )

    def mean_return(self, policy: Tensor) -> float:
        """Return the expected discounted return of an episode, for action probabilities (S, A)."""
        return float(self._start @ self._values(policy.double())[-1])

    def optimum(self) -> tuple[float, Tensor]:
        """Find the best policy by value iteration.

        Returns:
            Its expected discounted return, and its action probabilities (S, A) with all steps left;
            ties are shared.
        """
        value = torch.zeros_like(self._reward[:, 0])  # (S,) with no step left
        action_value = self._reward
        entered = self.model.next_state.flatten()  # (S * A,)
        weight = self._discount * self._goes_on
        for _ in range(self._horizon):
            # Q_n(s, a) = r(s, a) + discount * V_{n-1}(s'), where V_n(s) = max_a Q_n(s, a)
            onward = value.index_select(0, entered).view_as(weight)
            action_value = self._reward + weight * onward
            value = action_value.amax(dim=1)
        best = (action_value >= value[:, None] - 1e-12).double()  # equal but for rounding
        return float(self._start @ value), best / best.sum(dim=1, keepdim=True)

    def _shares(self, policy: Tensor, counts: Tensor) -> tuple[float, ...]:
        """Return the probability of an episode without any outcome, and with each at least once.

        Args:
            policy: (S, A).
            counts: (K + 1,) how often each outcome happens in an episode.
        """
        if self._outcomes_end:
            # Every step that goes on has the outcome "nothing": their number is no probability.
            return (float(1 - counts[1:].sum()), *counts[1:].tolist())
        missed = [self._without(policy, reach) for reach in self._reach[1:]]
        nothing = self._without(policy, self._reach[1:].sum(dim=0))
        return (nothing, *(1 - share for share in missed))

    def _without(self, policy: Tensor, event: Tensor) -> float:
        """Return the probability of an episode in which an event, (S, A) of 0 and 1, never happens.

        What is left of a distribution over states after each step is what has not met the event.
        """
        quiet = policy * (1 - event)
        transition = self._matrices.forward(quiet * self._goes_on)
        left = self._start
        over = 0.0  # episodes that came to an end without it
        for _ in range(self._horizon):
            over += float(left @ (quiet * (1 - self._goes_on)).sum(dim=1))
            left = transition @ left
        return over + float(left.sum())

    def _values(self, policy: Tensor) -> Tensor:
        """Return V_n(s), the expected return with n steps left, for n = 0 ... H: (H + 1, S)."""
        transition = self._matrices.backward(self._discount * policy * self._goes_on)
        expected_reward = (policy * self._reward).sum(dim=1)  # (S,)
        values = self._values_room
        values[0] = 0.0
        for n in range(self._horizon):
            torch.addmv(expected_reward, transition, values[n], out=values[n + 1])
        return values

    def _occupancy(self, policy: Tensor) -> Tensor:
        """Return f_k(s), the probability to be in s at age k, for k = 0 ... H - 1: (H, S)."""
        transition = self._matrices.forward(policy * self._goes_on)
        ages = self._ages_room
        ages[0] = self._start
        for k in range(self._horizon - 1):
            ages[k + 1] = transition @ ages[k]
        return ages

    def _by_condition(self, value: Tensor) -> dict[tuple[bool, ...], float]:
        """Average values of states (S,) over the starts of episodes under each condition."""
        found = torch.zeros(len(self._conditions), dtype=torch.float64, device=value.device)
        found.index_add_(0, self._condition, self.model.condition_probability * value)
        return dict(zip(self._conditions, found.tolist(), strict=True))


def _stepwise(products: list[list[float]], alive: list[float], window: int) -> float:
    """Compute the stepwise return of the paper (appendix F).

    Windows of W steps begin with a reset and cut episodes at their edge. Let f_k be the
    distribution over states at age k, and V_n the value with n steps left. Let q_u be the
    probability that an episode starts at window time u. Then it is
    (1 / W) sum_{u < W} q_u sum_{k < min(H, W - u)} <f_k, V_min(H - k, W - u - k)>.

    Args:
        products: (H, H + 1), <f_k, V_n>.
        alive: (H,) probability that an episode reaches each age.
        window: W.
    """
    horizon = len(alive)
    # P(an episode has k + 1 steps) = alive_k - alive_{k + 1}
    length = [a - b for a, b in zip(alive, [*alive[1:], 0.0], strict=True)]
    starts = [1.0]  # q_0
    for u in range(1, window):
        # One starts where one ends: q_u = sum_k q_{u - k - 1} P(k + 1 steps)
        starts.append(sum(starts[u - k - 1] * length[k] for k in range(min(u, horizon))))
    total = 0.0
    for u, probability in enumerate(starts):
        left = window - u
        ages = range(min(horizon, left))
        total += probability * sum(products[k][min(horizon - k, left - k)] for k in ages)
    return total / window
