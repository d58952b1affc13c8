"""What a policy does in episodes that are played, where there are no tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from routed_rl.evaluation.exact import WINDOW
from routed_rl.evaluation.report import Report
from routed_rl.models.policy import Policy
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Decision, collect
from routed_rl.worlds.outcomes import is_bad
from routed_rl.worlds.vec_env import Step, VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


@torch.no_grad()
def play(
    policy: Policy,
    env: VecEnv,
    *,
    quota: int,
    seed: int,
    greedy: bool = False,
    window: int = WINDOW,
) -> Report:
    """Play `quota` episodes in each environment.

    Counting whichever ends first, in all environments together, would favour short episodes.

    Args:
        policy: what acts.
        env: B environments, about to be reset.
        quota: episodes to count in each.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.
        window: steps of the paper's stepwise return, measured from the first reset.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    tally = _Tally(env, quota, window)
    obs = env.reset()
    while not tally.complete:
        step = env.step(policy.act(obs, generator, greedy=greedy))
        tally.add(step)
        obs = step.obs
    return tally.report()


@torch.no_grad()
def count_flags(
    policy: Policy, env: VecEnv, *, quota: int, seed: int, greedy: bool = False
) -> Tensor:
    """Count how many outcomes the overseer reports as bad in each of some episodes.

    What it did not see is hidden before anything is counted, as it is from an agent. A report that
    is wrong counts as any other.

    Args:
        policy: what acts.
        env: B environments, about to be reset.
        quota: episodes to count in each.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.

    Returns:
        (B * quota,) int64.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    finished = torch.zeros(env.num_envs, dtype=torch.int64, device=env.device)
    # (B, quota + 1): the last column takes what comes after the quota.
    counts = finished[:, None].repeat(1, quota + 1)

    def act(obs: Tensor) -> Decision:
        nothing = torch.zeros(env.num_envs, device=env.device)  # nobody learns from this
        return Decision(policy.act(obs, generator, greedy=greedy), nothing, nothing)

    obs = env.reset()
    while bool((finished < quota).any()):
        visible = labels.hide(collect(env, act, obs, 1), env.spec)
        flagged = is_bad(visible.reported[0], env.spec.outcome_rewards).long()  # (B,)
        counts.scatter_add_(1, finished.clamp(max=quota)[:, None], flagged[:, None])
        finished += visible.done[0]
        obs = visible.last_obs
    return counts[:, :quota].flatten()


class Countdown(VecEnvWrapper):
    """A world that tells how many of the episodes that are wanted have ended."""

    def __init__(self, env: VecEnv, quota: int, tell: Callable[[int], None]) -> None:
        """Want `quota` episodes of each environment; `tell` gets how many ended in a step."""
        super().__init__(env)
        self._left = torch.full((env.num_envs,), quota, device=env.device)
        self._tell = tell

    def step(self, actions: Tensor) -> Step:
        """Take a step, and tell of it."""
        step = self.env.step(actions)
        ended = (step.terminated | step.truncated) & (self._left > 0)  # (B,)
        self._left -= ended.long()
        self._tell(int(ended.sum()))
        return step


class _Tally:
    """Counts the episodes of B environments."""

    def __init__(self, env: VecEnv, quota: int, window: int) -> None:
        """Count `quota` episodes of each, and the rewards of the first `window` steps."""
        self._spec = env.spec
        self._quota = quota
        self._window = window
        zeros = torch.zeros(env.num_envs, device=env.device)
        self._age = zeros.clone()  # (B,) steps of the running episode
        self._total = zeros.clone()  # (B,) its discounted true return so far
        self._paid = zeros.clone()  # (B,) what the world has paid, likewise
        self._score = zeros.clone()  # (B,) the same, undiscounted
        # (B, K) how often each outcome has happened in the running episode
        self._happened = zeros.long()[:, None].repeat(1, len(env.spec.outcomes))
        self._numbers = 1 + torch.arange(len(env.spec.outcomes), device=env.device)
        self._finished = zeros.long()  # (B,) episodes that ended
        self._returns: list[Tensor] = []
        self._paid_returns: list[Tensor] = []
        self._scores: list[Tensor] = []
        self._lengths: list[Tensor] = []
        self._counts: list[Tensor] = []  # (n, K) each
        self._rewards: list[Tensor] = []  # of the window's steps, (B,) each
        self._dones: list[Tensor] = []

    @property
    def complete(self) -> bool:
        """Whether there is enough."""
        return len(self._rewards) >= self._window and bool((self._finished >= self._quota).all())

    def add(self, step: Step) -> None:
        """Count a step."""
        discount = self._spec.discount**self._age
        self._total = self._total + discount * step.true_reward
        self._paid = self._paid + discount * step.reward
        self._score = self._score + step.reward
        self._happened = self._happened + (step.outcome[:, None] == self._numbers)
        self._age = self._age + 1
        done = step.terminated | step.truncated
        # An environment that has its quota plays on, and is not counted any more.
        counted = done & (self._finished < self._quota)
        self._returns.append(self._total[counted])
        self._paid_returns.append(self._paid[counted])
        self._scores.append(self._score[counted])
        self._lengths.append(self._age[counted])
        self._counts.append(self._happened[counted])
        self._finished = self._finished + done
        self._total = torch.where(done, 0.0, self._total)
        self._paid = torch.where(done, 0.0, self._paid)
        self._score = torch.where(done, 0.0, self._score)
        self._happened = torch.where(done[:, None], 0, self._happened)
        self._age = torch.where(done, 0.0, self._age)
        if len(self._rewards) < self._window:
            self._rewards.append(step.true_reward)
            self._dones.append(done)

    def report(self) -> Report:
        """Say what was counted."""
        returns = torch.cat(self._returns).double()
        counts = torch.cat(self._counts)  # (episodes, K)
        count = len(returns)
        # As shares of a count: exact where a mean over floats would be rounded.
        shares = ((counts > 0).sum(dim=0).double() / count).tolist()
        nothing = float((counts == 0).all(dim=1).sum().double() / count)
        means = (counts.sum(dim=0).double() / count).tolist()
        names = self._spec.outcomes
        return Report(
            true_return=float(returns.mean()),
            paid_return=float(torch.cat(self._paid_returns).double().mean()),
            score=float(torch.cat(self._scores).double().mean()),
            exact=False,
            standard_error=float(returns.std(correction=0) / math.sqrt(count)),
            episodes=count,
            stepwise_return=sum(self._stepwise()),
            outcomes=dict(zip(names, shares, strict=True)) | {"none": nothing},
            outcomes_per_episode=dict(zip(names, means, strict=True)),
            mean_length=float(torch.cat(self._lengths).mean()),
        )

    def _stepwise(self) -> Iterator[float]:
        """Yield what each step of the window adds: the mean return to go, divided by the window."""
        to_go = torch.zeros_like(self._total)
        steps = zip(reversed(self._rewards), reversed(self._dones), strict=True)
        for reward, done in steps:
            to_go = reward + self._spec.discount * to_go * ~done
            yield float(to_go.mean()) / self._window
