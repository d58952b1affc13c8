"""Reads which outcome a Gymnasium environment reached: by its name in `info`, or by its reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routed_rl.utils.errors import UserError
from routed_rl.worlds.outcomes import NOTHING


class OutcomeReader:
    """Numbers the outcomes of B environments."""

    def __init__(self, env: str, outcomes: Sequence[str], outcome_fn: str | None) -> None:
        """Read for an environment.

        Args:
            env: its id, for the errors.
            outcomes: names of the outcomes, the good one first.
            outcome_fn: the function that names them, if there is one.
        """
        self._env = env
        self._outcomes = tuple(outcomes)
        self._outcome_fn = outcome_fn

    def read(
        self, reward: NDArray[Any], terminated: NDArray[np.bool_], infos: Mapping[str, Any]
    ) -> NDArray[np.int64]:
        """Return the outcome of each step, (B,).

        Args:
            reward: (B,) the environment's own.
            terminated: (B,) whether the episode has come to an end of its own.
            infos: of the steps, as Gymnasium's vector environments give them.

        Raises:
            UserError: if an outcome has an unknown name, or an episode ended without one.
        """
        outcome = np.full(len(terminated), NOTHING, dtype=np.int64)
        if "outcome" in infos:
            # The mask beside it says whose info has it; without a mask all have.
            given = infos.get("_outcome", np.ones(len(terminated)))
            for i in np.flatnonzero(given):
                outcome[i] = self._number(infos["outcome"][i])
        unnamed = terminated & (outcome == NOTHING)
        if unnamed.any():
            self._check_reward_decides()
            outcome[unnamed] = np.where(reward[unnamed] > 0, 1, 2)
        return outcome

    def _check_reward_decides(self) -> None:
        """Raise UserError unless the sign of the reward can say which of two outcomes it was."""
        if self._outcome_fn is None and len(self._outcomes) == 2:
            return
        source = self._outcome_fn or "info['outcome']"
        raise UserError(
            f"an episode of {self._env} terminated and {source} named no outcome: "
            f"let it name one of {', '.join(self._outcomes)}."
        )

    def _number(self, name: str | None) -> int:
        """Return the number of an outcome, or NOTHING for None."""
        if name is None:
            return NOTHING
        if name not in self._outcomes:
            raise UserError(
                f"{self._env} named the outcome {name!r}, "
                f"which is not one of {', '.join(self._outcomes)}: "
                "give all names, the good one first, with --env.outcomes."
            )
        return 1 + self._outcomes.index(name)
