"""The transitions of an MDP as sparse matrices over its S states, made anew for every policy.

Where the non-zero entries stand depends on the MDP alone, so it is found out once. A policy only
brings the entries, one for each of the S * A pairs of a state and an action.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


class TransitionMatrices:
    """Makes the (S, S) matrices whose entries (S, A) belong to pairs of a state and an action."""

    def __init__(self, next_state: Tensor) -> None:
        """Find where the entries stand, from next states (S, A) int64."""
        states, actions = next_state.shape
        device = next_state.device
        self._actions = actions
        # Row s holds the A actions of state s, in their order.
        self._left_states = next_state.flatten()  # (S * A,) columns
        self._left_starts = torch.arange(
            0, states * actions + 1, actions, device=device
        )  # (S + 1,)
        # Row s' holds the pairs that lead to s'; a stable sort keeps the order of their sums.
        self._by_entered = self._left_states.argsort(stable=True)  # (S * A,) numbers of pairs
        self._entered_starts = torch.searchsorted(
            self._left_states[self._by_entered], torch.arange(states + 1, device=device)
        )

    def backward(self, entries: Tensor) -> Tensor:
        """Return M[s, s'] = sum of entries (s, a) that lead to s': it takes values back a step."""
        return _sparse(self._left_starts, self._left_states, entries.flatten())

    def forward(self, entries: Tensor) -> Tensor:
        """Return the transpose of `backward`: it takes a distribution over states on a step."""
        order = self._by_entered
        return _sparse(self._entered_starts, order // self._actions, entries.flatten()[order])


def _sparse(row_starts: Tensor, columns: Tensor, entries: Tensor) -> Tensor:
    """Make a square matrix of compressed rows: `row_starts` (S + 1,), the others one an entry."""
    states = len(row_starts) - 1
    with warnings.catch_warnings():
        # torch calls it a beta feature, once in every process.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            row_starts, columns, entries, (states, states), check_invariants=False
        )
