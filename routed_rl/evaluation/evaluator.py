"""What policies really do: exactly where the world gives its tables, else by episodes.

Evaluation has environments and generators of its own, so that it changes nothing in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from routed_rl.evaluation.episodes import Countdown, count_flags, play
from routed_rl.evaluation.exact import Evaluation, ExactEvaluator
from routed_rl.evaluation.report import Report
from routed_rl.models.policy import Policy
from routed_rl.utils.progress import Progress
from routed_rl.worlds.vec_env import VecEnv

Reports = dict[str, Report]
"""A report of each policy, by name."""
Tell = Callable[[int], None] | None
"""Is told how many episodes have ended, if somebody wants to know."""
MOST_ENVS = 512
"""Episodes are played in so many environments at a time."""


class MakeEnv(Protocol):
    """Makes environments, always from the evaluation's seed."""

    def __call__(self, num_envs: int, *, oversight: float | None = None) -> VecEnv:
        """Make them, at their own oversight unless told another."""
        ...


class Evaluator:
    """Evaluates policies in one world."""

    def __init__(
        self,
        make_env: MakeEnv,
        *,
        seed: int,
        episodes: int = 1000,
        curve_episodes: int | None = None,
        greedy: bool = False,
        sampled: bool = False,
    ) -> None:
        """Prepare tables, if there are any.

        Args:
            make_env: makes the environments.
            seed: decides the sampled actions where evaluation is not exact, alike for all policies.
            episodes: how many to play where evaluation is not exact.
            curve_episodes: how many for a point of a learning curve; as many unless given.
            greedy: let every policy take its likeliest action.
            sampled: play episodes even where there are tables.
        """
        self._make_env = make_env
        self._seed = seed
        self._greedy = greedy
        self._episodes = episodes
        self._curve_episodes = curve_episodes or episodes
        env = make_env(1)
        self.spec = env.spec
        self._exact: ExactEvaluator | None = None
        self._tabulated: dict[str, tuple[Tensor, Report]] = {}  # what each policy did the last time
        model = None if sampled else env.model()
        if model is not None:
            spec = env.spec
            self._exact = ExactEvaluator(model, horizon=spec.horizon, discount=spec.discount)
            # All S observations, computed once for every policy to come.
            states = torch.arange(len(model.start_probability), device=env.device)
            self._frames = model.observe(states)

    @property
    def exact(self) -> bool:
        """Whether tables are used, and no episodes played."""
        return self._exact is not None

    def returns(self, policies: Mapping[str, Policy]) -> Reports:
        """Evaluate what a learning curve shows: the return and the outcomes."""
        return {name: self._counted(self._quick(name, policy)) for name, policy in policies.items()}

    def full(self, policies: Mapping[str, Policy]) -> Reports:
        """Evaluate everything that result.json holds of a policy."""
        if self.exact:
            return {
                name: self._counted(self._full(name, policy)) for name, policy in policies.items()
            }
        plays = 2 if self.spec.oversight_channel is None else 4
        num_envs, quota = _share_out(self._episodes)
        total = len(policies) * plays * num_envs * quota
        with Progress("evaluating", total, "episodes") as progress:
            return {
                name: self._counted(self._full(name, policy, progress.advance))
                for name, policy in policies.items()
            }

    def flags(self, policy: Policy, episodes: int) -> Tensor:
        """Count what the world's overseer reports as bad in each episode, (n,) int64.

        Args:
            policy: what acts.
            episodes: how many to play at least, whether there are tables or not.
        """
        num_envs, quota = _share_out(episodes)
        env = self._make_env(num_envs)
        return count_flags(policy, env, quota=quota, seed=self._seed, greedy=self._greedy)

    def references(self) -> dict[str, float]:
        """Return what the best possible policy and scripted ones reach, where there are tables."""
        if self._exact is None:
            return {}
        best, _ = self._exact.optimum()
        tables = self._exact.model.references
        scripted = {name: self._exact.mean_return(table) for name, table in tables.items()}
        return {"best possible": best} | scripted

    def _counted(self, report: Report) -> Report:
        """Add how often bad outcomes happen."""
        counts = report.outcomes_per_episode or {}
        bad = sum(count for name, count in counts.items() if name != self.spec.target)
        return replace(report, bad_per_episode=float(bad))

    def _quick(self, name: str, policy: Policy) -> Report:
        if self._exact is not None:
            table = policy.probabilities(self._frames)
            return self._tabulate(name, _likeliest(table) if self._greedy else table, self._exact)
        # One play is too short a look at the stepwise return for a learning curve.
        return replace(self._play(policy, self._curve_episodes), stepwise_return=None)

    def _full(self, name: str, policy: Policy, tell: Tell = None) -> Report:
        if self._exact is not None:
            table = policy.probabilities(self._frames)
            likeliest = _likeliest(table)
            report = self._tabulate(name, likeliest if self._greedy else table, self._exact)
            return replace(report, greedy=self._exact.mean_return(likeliest))
        play = partial(self._play, policy, self._episodes, tell=tell)
        # Each play begins with the same seeds: conditions are compared on the same episodes.
        report = play()
        unseen = overseen = report.true_return
        # Where nothing shows the oversight no policy can tell: the same seeds, the same episodes.
        if self.spec.oversight_channel is not None:
            unseen = play(oversight=0.0).true_return
            overseen = play(oversight=1.0).true_return
        return replace(
            report,
            unwatched=unseen,
            greedy=play(greedy=True).true_return,
            by_oversight={"none": unseen, "all": overseen},
        )

    def _tabulate(self, name: str, table: Tensor, exact: ExactEvaluator) -> Report:
        """Evaluate exactly, unless a policy acts as it, or another, did the last time.

        Args:
            name: of the policy.
            table: (S, A) its action probabilities in every state.
            exact: what evaluates.
        """
        # Experts begin alike, and the end of a run is looked at twice.
        alike = (report for known, report in self._tabulated.values() if torch.equal(known, table))
        report = next(alike, None) or self._report(exact.evaluate(table))
        self._tabulated[name] = (table, report)
        return report

    def _report(self, found: Evaluation) -> Report:
        """Name what an exact evaluation found."""
        nothing, *happened = found.outcomes  # outcome 0, then 1 to K
        shares = dict(zip(self.spec.outcomes, happened, strict=True))
        by_oversight = {self._condition(ends): value for ends, value in found.by_condition.items()}
        return Report(
            true_return=found.mean_return,
            paid_return=found.paid_return,
            score=found.score,
            exact=True,
            unwatched=by_oversight["none"],
            stepwise_return=found.stepwise_return,
            outcomes=shares | {"none": nothing},
            outcomes_per_episode=dict(zip(self.spec.outcomes, found.counts, strict=True)),
            mean_length=found.mean_length,
            by_oversight=by_oversight,
        )

    def _condition(self, overseen_ends: tuple[bool, ...]) -> str:
        """Name the ends that are overseen."""
        named = zip(self.spec.outcomes, overseen_ends, strict=True)
        return "+".join(name for name, overseen in named if overseen) or "none"

    def _play(
        self,
        policy: Policy,
        episodes: int,
        *,
        oversight: float | None = None,
        greedy: bool = False,
        tell: Tell = None,
    ) -> Report:
        """Play episodes, the same number in each environment; `tell` is told when some end."""
        num_envs, quota = _share_out(episodes)
        env = self._make_env(num_envs, oversight=oversight)
        return play(
            policy,
            env if tell is None else Countdown(env, quota, tell),
            quota=quota,
            seed=self._seed,
            greedy=greedy or self._greedy,
        )


def _likeliest(probabilities: Tensor) -> Tensor:
    """Return the table (S, A) of a policy that takes the likeliest action of another."""
    best = probabilities.argmax(dim=1, keepdim=True)  # (S, 1)
    return torch.zeros_like(probabilities).scatter_(1, best, 1.0)


def _share_out(episodes: int) -> tuple[int, int]:
    """Return in how many environments to play, and the quota of each, which is rounded up."""
    num_envs = min(episodes, MOST_ENVS)
    return num_envs, math.ceil(episodes / num_envs)
