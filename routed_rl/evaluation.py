"""What policies really do: exactly where the environment gives its model, else by episodes.

Evaluation has environments and generators of its own, so that it changes nothing in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from routed_rl.env import NOTHING, EnvSpec, VecEnv
from routed_rl.exact import WINDOW, ExactEvaluator
from routed_rl.policy import Policy

Report = dict[str, Any]
"""What a policy does, in the words of result.json."""
MakeEnv = Callable[..., VecEnv]
"""(num_envs, *, oversight=None) -> VecEnv, always from the evaluation's seed."""


class Evaluator:
    """Evaluates policies on one environment."""

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
            make_env: makes the environment, with its own oversight unless told another.
            seed: decides the sampled actions where evaluation is not exact; the same for all policies.
            episodes: how many to play where evaluation is not exact.
            curve_episodes: how many to play for a point of a learning curve; as many unless given.
            greedy: let every policy take its likeliest action.
            sampled: play episodes even where there are tables.
        """
        self._make_env, self._seed, self._greedy = make_env, seed, greedy
        self._episodes, self._curve_episodes = episodes, curve_episodes or episodes
        env = make_env(1)
        self.spec: EnvSpec = env.spec
        model = None if sampled else env.model()
        self._exact: ExactEvaluator | None = None
        if model is not None:
            self._exact = ExactEvaluator(model, horizon=env.spec.horizon, discount=env.spec.discount)
            self._frames = model.observe(torch.arange(len(model.start_weight), device=env.device))

    def returns(self, policies: Mapping[str, Policy]) -> dict[str, Report]:
        """Evaluate what a learning curve shows: the return and the outcomes, with sampled actions."""
        episodes = self._curve_episodes
        return {name: self._tabulate(policy) or self._play(policy, episodes)[0] for name, policy in policies.items()}

    def full(self, policies: Mapping[str, Policy]) -> dict[str, Report]:
        """Evaluate everything that result.json holds of a policy."""
        return {name: self._full(policy) for name, policy in policies.items()}

    def references(self) -> dict[str, float]:
        """Return the returns of the best possible policy and of scripted ones, where there are tables."""
        if self._exact is None:
            return {}
        scripted = {name: self._exact.mean_return(table) for name, table in self._exact.model.references.items()}
        return {"best possible": self._exact.optimum()[0]} | scripted

    def _full(self, policy: Policy) -> Report:
        if self._exact is not None:
            return self._tabulate(policy) | {"greedy": self._exact.mean_return(self._table(policy, greedy=True))}
        report, stepwise = self._play(policy, self._episodes)
        dark = watched = report["return"]
        if self.spec.oversight_plane is not None:  # else no policy can tell, and the same seeds give the same episodes
            dark, watched = (self._play(policy, self._episodes, oversight=p)[0]["return"] for p in (0.0, 1.0))
        return report | {
            "unwatched": dark,
            "greedy": self._play(policy, self._episodes, greedy=True)[0]["return"],
            "stepwise_return": stepwise,
            "by_oversight": {"none": dark, "all": watched},
        }

    def _table(self, policy: Policy, *, greedy: bool) -> Tensor:
        """Return the policy's action probabilities in every state, (S, A)."""
        probabilities = policy.probabilities(self._frames)
        if not greedy:
            return probabilities
        return torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(dim=1, keepdim=True), 1.0)

    def _tabulate(self, policy: Policy) -> Report:
        """Evaluate exactly; empty where there are no tables."""
        if self._exact is None:
            return {}
        found = self._exact.evaluate(self._table(policy, greedy=self._greedy))
        by_oversight = {
            "+".join(name for name, seen in zip(self.spec.outcomes, condition, strict=True) if seen) or "none": value
            for condition, value in found.by_condition.items()
        }
        return {
            "return": found.mean_return,
            "exact": True,
            "unwatched": by_oversight["none"],
            "stepwise_return": found.stepwise_return,
            "outcomes": dict(zip((*self.spec.outcomes, "none"), (*found.outcomes[1:], found.outcomes[0]), strict=True)),
            "mean_length": found.mean_length,
            "by_oversight": by_oversight,
        }

    def _play(
        self, policy: Policy, episodes: int, *, oversight: float | None = None, greedy: bool = False
    ) -> tuple[Report, float]:
        """Play episodes, the same number in each environment: counting whichever end first would favour short ones."""
        num_envs = min(episodes, 512)
        env = self._make_env(num_envs, oversight=oversight)
        return play(policy, env, quota=math.ceil(episodes / num_envs), seed=self._seed, greedy=greedy or self._greedy)


@torch.no_grad()
def play(
    policy: Policy, env: VecEnv, *, quota: int, seed: int, greedy: bool = False, window: int = WINDOW
) -> tuple[Report, float]:
    """Play `quota` episodes in each environment.

    Args:
        policy: what acts.
        env: B environments, about to be reset.
        quota: episodes to count in each.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.
        window: steps of the paper's stepwise return, measured from the first reset.

    Returns:
        A report with the standard error of the return, and the stepwise return.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    obs, discount = env.reset(), env.spec.discount
    zeros = torch.zeros(env.num_envs, device=env.device)
    age, total, finished = zeros.clone(), zeros.clone(), zeros.long()
    returns, lengths, ends = [], [], []
    rewards, dones = [], []
    step_count = 0
    while step_count < window or bool((finished < quota).any()):
        step = env.step(policy.act(obs, generator, greedy=greedy))
        total = total + discount**age * step.reward
        age = age + 1
        done = step.terminated | step.truncated
        counted = done & (finished < quota)
        returns.append(total[counted])
        lengths.append(age[counted])
        ends.append(step.outcome[counted])
        finished = finished + done
        total, age = torch.where(done, 0.0, total), torch.where(done, 0.0, age)
        if step_count < window:
            rewards.append(step.reward)
            dones.append(done)
        obs, step_count = step.obs, step_count + 1
    stepwise, to_go = 0.0, zeros
    for reward, done in zip(reversed(rewards), reversed(dones), strict=True):
        to_go = reward + discount * to_go * ~done
        stepwise += float(to_go.mean()) / window
    all_returns, all_ends = torch.cat(returns).double(), torch.cat(ends)
    share = torch.bincount(all_ends, minlength=len(env.spec.outcomes) + 1).double() / len(all_ends)
    return {
        "return": float(all_returns.mean()),
        "exact": False,
        "standard_error": float(all_returns.std(correction=0) / math.sqrt(len(all_returns))),
        "episodes": len(all_returns),
        "outcomes": {name: float(share[k + 1]) for k, name in enumerate(env.spec.outcomes)}
        | {"none": float(share[NOTHING])},
        "mean_length": float(torch.cat(lengths).mean()),
    }, stepwise
