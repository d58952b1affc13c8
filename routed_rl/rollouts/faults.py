"""The rules for values that a rollout must keep, and where one is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.spec import EnvSpec


class Fault(NamedTuple):
    """A rule, and where it is broken."""

    field: str
    wrong: Tensor  # (T, B) bool
    remedy: str


def find_faults(rollout: Rollout, spec: EnvSpec) -> Iterator[Fault]:
    """Yield each rule for values that a rollout can break, kept or not.

    Args:
        rollout: with the truth in it.
        spec: of its world.
    """
    yield from _not_finite(rollout)
    kinds = len(spec.outcomes)
    ended = rollout.terminated
    outcome = rollout.outcome
    out_of_range = (outcome < NOTHING) | (outcome > kinds)
    yield Fault("outcome", out_of_range, f"give 0 or the number of an outcome, 1 to {kinds}.")
    yield Fault(
        "outcome",
        ended & (outcome == NOTHING),
        "an episode that terminated must say which outcome it reached.",
    )
    yield Fault(
        "outcome",
        ~ended & (outcome != NOTHING),
        "an episode that goes on or was truncated has reached nothing.",
    )
    yield Fault(
        "truncated", ended & rollout.truncated, "an episode that terminated was not truncated."
    )
    # What the overseer says may be false, but it must be one of the outcomes.
    overseen = rollout.overseen
    reported = rollout.reported
    yield Fault("overseen", overseen & ~ended, "only an outcome that was reached can be overseen.")
    yield Fault(
        "reported",
        overseen & ((reported <= NOTHING) | (reported > kinds)),
        f"of an overseen outcome report one, 1 to {kinds}.",
    )
    yield Fault(
        "reported", ~overseen & (reported != NOTHING), "report 0 where nothing was overseen."
    )


def _not_finite(rollout: Rollout) -> Iterator[Fault]:
    """Yield where numbers are NaN or infinite. One sum over all finds out whether any is."""
    total = rollout.obs.sum() + rollout.last_obs.sum()
    total = total + rollout.final_obs.sum() + rollout.reward.sum()
    if not bool(total.isfinite()):
        # obs[0] answered no action of this rollout: what step t gave is obs[t + 1].
        answered = torch.cat((rollout.obs[1:], rollout.last_obs[None]))
        named = {"obs": answered, "final_obs": rollout.final_obs, "reward": rollout.reward}
        for field, values in named.items():
            spoilt = ~values.isfinite()
            # Of observations (T, B, ...) a step is wrong if any number is.
            spoilt = spoilt.flatten(2).any(dim=2) if spoilt.dim() > 2 else spoilt
            yield Fault(field, spoilt, "every number must be finite.")
    if not bool((rollout.log_prob.sum() + rollout.value.sum()).isfinite()):
        no_distribution = "the policy has no distribution any more."
        yield Fault("log_prob", ~rollout.log_prob.isfinite(), no_distribution)
        yield Fault("value", ~rollout.value.isfinite(), "the critic has learnt nonsense.")
