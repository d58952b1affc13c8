"""A row for each episode of training, for those who want to look: what the overseer knew, what learnt, what was.

`route` names the experts that the episode trained, or says all; `gate` is the first expert's weight at the episode's
last decision, after the update.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

from routed_rl import labels
from routed_rl.agent import Agent
from routed_rl.env import EnvSpec
from routed_rl.rollout import Rollout

COLUMNS: tuple[str, ...] = ("env_steps", "env", "outcome", "overseen", "label", "route", "gate")


class Trace:
    """Writes episodes.csv."""

    def __init__(self, path: Path, spec: EnvSpec, *, up_to: int) -> None:
        """Continue the file at `path`, forgetting episodes after env step `up_to`."""
        kept: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["env_steps"]) <= up_to]
        self._path, self._outcomes = path, ("none", *spec.outcomes)
        self._labels = ("running", "nothing", "unknown", *spec.outcomes)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    @torch.no_grad()
    def write(self, rollout: Rollout, agent: Agent, env_steps: int) -> None:
        """Add the episodes that ended in a rollout.

        Args:
            rollout: with the truth in it.
            agent: what learnt from it.
            env_steps: at the rollout's end.
        """
        time, env = rollout.done.nonzero(as_tuple=True)
        ended = env_steps - (len(rollout.done) - 1 - time) * rollout.done.shape[1]
        label = labels.label_steps(rollout)[time, env]
        gate = agent.policies()[agent.acting](rollout.obs[time, env]).gate
        weights = [""] * len(time) if gate is None else [f"{w:.3f}" for w in gate.softmax(dim=1)[:, 0].tolist()]
        columns = (ended, env, rollout.outcome[time, env], rollout.overseen[time, env], label)
        with self._path.open("a", newline="") as file:
            writer = csv.writer(file)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            for row, route, weight in zip(rows, self._routes(agent, time, env), weights, strict=True):
                steps, number, outcome, overseen, known = row
                writer.writerow(
                    (steps, number, self._outcomes[outcome], int(overseen), self._labels[known], route, weight)
                )

    def _routes(self, agent: Agent, time: Tensor, env: Tensor) -> list[str]:
        """Name the experts that episodes trained which ended at these times in these environments."""
        keep: Tensor | None = getattr(agent, "keep", None)
        if keep is None:
            return ["all"] * len(time)
        names = self._outcomes[1:]
        return [
            "all" if all(row) else "+".join(name for name, kept in zip(names, row, strict=True) if kept)
            for row in keep[time, env, : len(names)].tolist()
        ]
