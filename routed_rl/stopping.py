"""Which checkpoint to ship: the last, the best by labels, or the best by truth, which cheats.

An overseer can choose by what it saw, and no more: the returns of labelled episodes that the policy to ship acted in.
Choosing by the true return needs what no overseer has; it is kept because others report it, and says so.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from routed_rl.labels import Label
from routed_rl.rewards import advantages, seen
from routed_rl.rollout import Rollout

CHOICES = {"best_by_labels": "best by labels", "best_by_truth": "best by truth (cheats)"}
WINDOW = 256
"""Labelled episodes of the running mean."""
FEWEST = 16
"""With fewer labelled episodes there is nothing to choose by."""


class Stopping:
    """Remembers the best scores of a run, and where they were."""

    def __init__(self, discount: float) -> None:
        """Start with no labelled episode."""
        self._discount = discount
        self._returns: deque[float] = deque(maxlen=WINDOW)
        self.best: dict[str, tuple[float, int]] = {}

    def watch(self, rollout: Rollout) -> None:
        """Note the labelled episodes of a rollout, labels hidden, that the policy to ship acted in."""
        self._returns.extend(labelled_returns(rollout, self._discount).tolist())

    def consider(self, env_steps: int, truth: float) -> list[str]:
        """Compare the policy as it is now with the best so far.

        Args:
            env_steps: how far the run has come.
            truth: the true return of the policy to ship.

        Returns:
            The choices, of `CHOICES`, by which it is the best so far.
        """
        scores = {"best_by_truth": truth}
        if len(self._returns) >= FEWEST:
            scores["best_by_labels"] = self.score
        better = [name for name, score in scores.items() if name not in self.best or score > self.best[name][0]]
        self.best |= {name: (scores[name], env_steps) for name in better}
        return better

    @property
    def score(self) -> float:
        """The mean return of the latest labelled episodes; NaN before the first."""
        return sum(self._returns) / len(self._returns) if self._returns else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {"returns": list(self._returns), "best": {name: list(best) for name, best in self.best.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._returns.clear()
        self._returns.extend(state["returns"])
        self.best = {name: (score, steps) for name, (score, steps) in state["best"].items()}


def labelled_returns(rollout: Rollout, discount: float) -> Tensor:
    """Return the discounted reported returns (n,) of the labelled episodes that began and ended in a rollout."""
    assert rollout.label is not None
    zeros = torch.zeros_like(rollout.reward)
    _, to_go = advantages(seen(rollout), zeros, zeros, rollout.terminated, rollout.done, discount, 1.0)
    begins = torch.cat((torch.zeros_like(rollout.done[:1]), rollout.done[:-1]))
    return to_go[begins & (rollout.label >= Label.KNOWN)]
