"""Which checkpoint to deploy: the last, the best by labels, or the best by truth, which cheats.

An overseer can choose by what it saw, and no more: the returns of labelled episodes that the
deployed policy acted in. Choosing by the true return needs what no overseer has; it is kept because
others report it, and says so. Where only bad outcomes are reported there is no choice by labels:
all episodes that are known went wrong.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from routed_rl.algorithms.advantages import returns_to_go
from routed_rl.rollouts.rewards import seen
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.utils.files import demand, demand_numbers
from routed_rl.worlds.outcomes import names_outcome

CHOICES = {"best_by_labels": "best by labels", "best_by_truth": "best by truth (cheats)"}
WINDOW = 256
"""Labelled episodes of the running mean."""
FEWEST = 16
"""With fewer labelled episodes there is nothing to choose by."""


class CheckpointSelector:
    """Remembers the best scores of a run, and where they were."""

    def __init__(
        self, discount: float, running: RunningEpisodes | None = None, *, one_sided: bool = False
    ) -> None:
        """Start with no labelled episode.

        Args:
            discount: per step.
            running: follows episodes over several rollouts; without it only those count that began
                in the rollout in which they ended.
            one_sided: whether only bad outcomes are reported.
        """
        self._discount = discount
        self._running = running
        self._one_sided = one_sided
        self._returns: deque[float] = deque(maxlen=WINDOW)
        self.best: dict[str, tuple[float, int]] = {}
        """Choice -> the best score, and the environment step it was at."""

    def observe(self, rollout: VisibleRollout) -> None:
        """Note the labelled episodes of a rollout that the deployed policy acted in."""
        if self._one_sided:
            return
        if self._running is not None:
            self._returns.extend(self._running.go_on(rollout).tolist())
        self._returns.extend(labelled_returns(rollout, self._discount).tolist())

    def begin_anew(self) -> None:
        """Forget episodes that were running: new ones begin."""
        if self._running is not None:
            self._running.begin_anew()

    def consider(self, env_steps: int, truth: float) -> list[str]:
        """Compare the policy as it is now with the best so far.

        Args:
            env_steps: how far the run has come.
            truth: the true return of the deployed policy.

        Returns:
            The choices, of `CHOICES`, by which it is the best so far.
        """
        scores = {"best_by_truth": truth}
        if len(self._returns) >= FEWEST:
            scores["best_by_labels"] = self.score
        better = []
        for name, score in scores.items():
            if name not in self.best or score > self.best[name][0]:
                better.append(name)
                self.best[name] = (score, env_steps)
        return better

    @property
    def score(self) -> float:
        """The mean return of the latest labelled episodes; NaN before the first."""
        return sum(self._returns) / len(self._returns) if self._returns else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        best = {name: list(found) for name, found in self.best.items()}
        state = {"returns": list(self._returns), "best": best}
        return state if self._running is None else state | {"running": self._running.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: if something is no number, or no choice of ours.
        """
        demand_numbers({str(k): x for k, x in enumerate(state["returns"])})
        self._returns.clear()
        self._returns.extend(state["returns"])
        self.best = {name: (score, steps) for name, (score, steps) in state["best"].items()}
        for name, (score, steps) in self.best.items():
            demand({name: score, "env_steps": steps}, {name: float, "env_steps": int})
            if name not in CHOICES:
                raise ValueError(f"there is no choice {name!r}")
        if self._running is not None and "running" in state:  # not before version 0.3
            self._running.load_state_dict(state["running"])


class RunningEpisodes:
    """What is known of B episodes that go on from one rollout to the next.

    For worlds whose episodes can be longer than a rollout: of these only short ones would count.
    """

    def __init__(self, num_envs: int, discount: float, device: torch.device) -> None:
        """Begin with B new episodes."""
        self._discount = discount
        self._total = torch.zeros(num_envs, device=device)  # (B,) discounted returns so far
        self._scale = torch.ones(num_envs, device=device)  # (B,) discount of the next step
        self._known = torch.ones(num_envs, dtype=torch.bool, device=device)  # all was seen so far

    def begin_anew(self) -> None:
        """Begin with new episodes."""
        self._total = torch.zeros_like(self._total)
        self._scale = torch.ones_like(self._scale)
        self._known = torch.ones_like(self._known)

    def go_on(self, rollout: VisibleRollout) -> Tensor:
        """Follow a rollout; return the returns (n,) of known episodes that began before it."""
        done = rollout.done
        steps = len(done)
        nothing = torch.zeros_like(rollout.reward[:1])
        # (T + 1, B): from each step to its episode's end, or to the rollout's edge.
        to_go = torch.cat((returns_to_go(seen(rollout), done, discount=self._discount), nothing))
        unseen = rollout.true_reward.isnan().float()
        unknown = torch.cat((returns_to_go(unseen, done, discount=1.0), nothing))
        total = self._total + self._scale * to_go[0]
        known = self._known & (unknown[0] == 0)
        ended = done.any(dim=0)
        # (1, B): where the episode begins that runs on behind the rollout; T if with the next one.
        begin = steps - done.flip(0).float().argmax(dim=0, keepdim=True)
        age = torch.where(ended, steps - begin[0], steps)
        self._total = torch.where(ended, to_go.gather(0, begin)[0], total)
        self._known = torch.where(ended, unknown.gather(0, begin)[0] == 0, known)
        self._scale = torch.where(ended, 1.0, self._scale) * self._discount**age
        return total[ended & known]

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {"total": self._total, "scale": self._scale, "known": self._known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._total = state["total"]
        self._scale = state["scale"]
        self._known = state["known"]


def labelled_returns(rollout: VisibleRollout, discount: float) -> Tensor:
    """Return the discounted true returns (n,) of labelled episodes that began in a rollout.

    These are episodes that ended in it, whose true reward is known at every step, and of which the
    overseer said something: an outcome, or by looking from the start that there was none.
    """
    to_go = returns_to_go(seen(rollout), rollout.done, discount=discount)  # (T, B)
    # How many steps to come the overseer did not see.
    unknown = returns_to_go(rollout.true_reward.isnan().float(), rollout.done, discount=1.0)
    # An episode begins behind an end: the rollout's first steps may be in the middle of one.
    begins = torch.cat((torch.zeros_like(rollout.done[:1]), rollout.done[:-1]))
    ended = rollout.done.flip(0).cummax(dim=0).values.flip(0)  # it is over within the rollout
    said = names_outcome(rollout.label) | rollout.overseen
    return to_go[begins & ended & said & (unknown == 0)]
