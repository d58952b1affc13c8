"""A row for each outcome and each end of training: what the overseer knew, what learnt, what was.

`ended` is 1 where the episode ended; a row without it is an outcome in the middle of one. `route`
names the experts that the step trained, or says all; `gate` is the first expert's weight at that
decision, after the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from routed_rl.algorithms.agent import Agent
from routed_rl.models.policy import Policy
from routed_rl.rollouts.rollout import Rollout
from routed_rl.utils.files import append_text, csv_line, rows_until, write_rows
from routed_rl.worlds.outcomes import NOTHING, Label
from routed_rl.worlds.spec import EnvSpec

COLUMNS: tuple[str, ...] = (
    *("env_steps", "env", "outcome", "overseen", "label", "route", "gate"),
    "ended",
)


class EpisodeLog:
    """Writes episodes.csv."""

    def __init__(self, path: Path, spec: EnvSpec, *, up_to: int) -> None:
        """Continue the file at `path`, forgetting episodes after env step `up_to`."""
        kept = rows_until(path, up_to)
        self._path = path
        names = {k + 1: name for k, name in enumerate(spec.outcomes)}
        self._outcomes = {NOTHING: "none"} | names
        self._labels = {label.value: label.name.lower() for label in Label} | names
        write_rows(path, COLUMNS, kept)

    @torch.no_grad()
    def write(self, rollout: Rollout, label: Tensor, agent: Agent[Any], env_steps: int) -> None:
        """Add what happened in a rollout, and the episodes that ended in it.

        Args:
            rollout: with the truth in it.
            label: (T, B) int64, what the overseer knows of each step's segment.
            agent: what learnt from it.
            env_steps: at the rollout's end.
        """
        time, env = (rollout.done | (rollout.outcome != NOTHING)).nonzero(as_tuple=True)
        steps, num_envs = rollout.done.shape
        columns = (
            # Steps are counted over all environments: each step of the rollout adds B.
            env_steps - (steps - 1 - time) * num_envs,
            env,
            rollout.outcome[time, env],
            rollout.overseen[time, env],
            label[time, env],
            rollout.done[time, env],
        )
        numbers = zip(*(column.tolist() for column in columns), strict=True)
        policy = agent.policies()[agent.acting]
        routes = _routes(agent.grad_mask, policy.spec.experts, time, env)
        gates = _gates(policy, rollout.obs[time, env])
        lines = []
        for row, route, gate in zip(numbers, routes, gates, strict=True):
            when, number, outcome, overseen, known, ended = row
            said = (self._outcomes[outcome], int(overseen), self._labels[known])
            lines.append(csv_line((when, number, *said, route, gate, int(ended))))
        append_text(self._path, "".join(lines))


def _routes(
    grad_mask: Tensor | None, experts: Sequence[str], time: Tensor, env: Tensor
) -> list[str]:
    """Name the experts that the steps at these times in these environments trained."""
    if grad_mask is None:
        return ["all"] * len(time)
    rows = grad_mask[time, env, : len(experts)].tolist()
    return [
        "all" if all(row) else "+".join(experts[k] for k, may in enumerate(row) if may)
        for row in rows
    ]


def _gates(policy: Policy, obs: Tensor) -> list[str]:
    """Write the first expert's weight for each of n observations; nothing without a gate."""
    logits = policy(obs).gate
    if logits is None:
        return [""] * len(obs)
    return [f"{weight:.3f}" for weight in logits.softmax(dim=1)[:, 0].tolist()]
