"""Reads which outcomes happened in a Gymnasium environment, by their names in `info`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routed_rl.gym.copies import StepResult
from routed_rl.gym.vectors import say_once
from routed_rl.utils.errors import UserError
from routed_rl.worlds.outcomes import NOTHING

PATIENCE = 20
"""After so many episodes without the name of an outcome, a line says so."""


class OutcomeReader:
    """Numbers the outcomes of B environments."""

    def __init__(self, env: str, outcomes: Sequence[str], source: str | None) -> None:
        """Read for an environment.

        Args:
            env: its id, for what is said.
            outcomes: names of the outcomes, the good one first.
            source: the function that names them, if there is one, for the same.
        """
        self._env = env
        self._outcomes = tuple(outcomes)
        self._source = source
        self._unnamed: int | None = None if source else 0  # episodes; None once one was named

    def read(self, result: StepResult) -> NDArray[np.int64]:
        """Return the outcome of each step, (B,).

        Raises:
            UserError: if an outcome has an unknown name.
        """
        outcome = np.full(len(result.reward), NOTHING, dtype=np.int64)
        names = result.said("outcome")
        if names is not None:
            self._unnamed = None
            for i in np.flatnonzero(names != None):  # noqa: E711 (element by element)
                outcome[i] = self._number(names[i])
        elif self._unnamed is not None:
            self._count(int((result.terminated | result.truncated).sum()))
        return outcome

    def demand_named(self, unnamed: NDArray[Any]) -> None:
        """Raise UserError if an episode terminated without an outcome, (B,) bool."""
        if unnamed.any():
            source = self._source or "info['outcome']"
            raise UserError(
                f"an episode of {self._env} terminated and {source} named no outcome: "
                f"with --env.paid ends let it name one of {', '.join(self._outcomes)}, "
                "or leave that flag out."
            )

    def _count(self, ended: int) -> None:
        """Count episodes in which nothing was named, and say so when there are many."""
        assert self._unnamed is not None
        self._unnamed += ended
        if self._unnamed >= PATIENCE:
            say_once(
                f"{self._env} has named no outcome in {PATIENCE} episodes: so far there is nothing "
                "to oversee, and the true reward is its own. Name outcomes in info['outcome'], or "
                "with --env.outcome-fn."
            )
            self._unnamed = None

    def _number(self, name: Any) -> int:
        """Return the number of an outcome."""
        if name == "none":  # as our own environments say it
            return NOTHING
        if name not in self._outcomes:
            raise UserError(
                f"{self._env} named the outcome {name!r}, "
                f"which is not one of {', '.join(self._outcomes)}: "
                "give all names, the good one first, with --env.outcomes."
            )
        return 1 + self._outcomes.index(name)
