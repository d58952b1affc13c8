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
    out_of_range = (rollout.outcome < NOTHING) | (rollout.outcome > kinds)
    yield Fault("outcome", out_of_range, f"give 0 or the number of an outcome, 1 to {kinds}.")
    yield Fault(
        "truncated",
        rollout.terminated & rollout.truncated,
        "an episode that terminated was not truncated.",
    )
    # What the overseer says may be false, but it must be nothing or one of the outcomes.
    reported = rollout.reported
    yield Fault(
        "reported",
        (reported < NOTHING) | (reported > kinds),
        f"report 0 or the number of an outcome, 1 to {kinds}.",
    )
    yield Fault(
        "reported", ~rollout.overseen & (reported != NOTHING), "report 0 where nobody looked."
    )
    if spec.outcomes_end:
        yield from _not_at_ends(rollout)


def _not_at_ends(rollout: Rollout) -> Iterator[Fault]:
    """Yield what cannot be in a world whose `EnvSpec.outcomes_end` is true."""
    ended = rollout.terminated
    yield Fault(
        "outcome",
        ended & (rollout.outcome == NOTHING),
        "an episode that terminated must say which outcome it reached, or let outcomes_end be "
        "False.",
    )
    yield Fault(
        "outcome",
        ~ended & (rollout.outcome != NOTHING),
        "an episode that goes on or was truncated has reached nothing, or let outcomes_end be "
        "False.",
    )
    yield Fault(
        "true_reward",
        ~ended & (rollout.true_reward != rollout.reward),
        "where outcomes end episodes, a step without one is truly worth what it pays; or let "
        "outcomes_end be False.",
    )
    yield Fault(
        "overseen",
        rollout.overseen & ~ended,
        "only an outcome that was reached can be overseen, or let outcomes_end be False.",
    )
    yield Fault(
        "reported",
        rollout.overseen & (rollout.reported == NOTHING),
        "of an overseen outcome report one.",
    )


def _not_finite(rollout: Rollout) -> Iterator[Fault]:
    """Yield where numbers are NaN or infinite. One sum over all finds out whether any is."""
    total = rollout.obs.sum() + rollout.last_obs.sum()
    total = total + rollout.final_obs.sum()
    total = total + rollout.reward.sum() + rollout.true_reward.sum()
    if not bool(total.isfinite()):
        # obs[0] answered no action of this rollout: what step t gave is obs[t + 1].
        answered = torch.cat((rollout.obs[1:], rollout.last_obs[None]))
        named = {
            "obs": answered,
            "final_obs": rollout.final_obs,
            "reward": rollout.reward,
            "true_reward": rollout.true_reward,
        }
        for field, values in named.items():
            spoilt = ~values.isfinite()
            # Of observations (T, B, ...) a step is wrong if any number is.
            spoilt = spoilt.flatten(2).any(dim=2) if spoilt.dim() > 2 else spoilt
            yield Fault(field, spoilt, "every number must be finite.")
    if not bool((rollout.log_prob.sum() + rollout.value.sum()).isfinite()):
        no_distribution = "the policy has no distribution any more."
        yield Fault("log_prob", ~rollout.log_prob.isfinite(), no_distribution)
        yield Fault("value", ~rollout.value.isfinite(), "the critic has learnt nonsense.")
