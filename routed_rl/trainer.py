"""The loop: collect, hide, update, log; evaluate and save now and then; stop cleanly when asked to."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from routed_rl import checkpoint, labels
from routed_rl.agent import Agent
from routed_rl.config import UserError
from routed_rl.env import VecEnv
from routed_rl.evaluation import Evaluator, Report
from routed_rl.guard import ContractError, Guarded
from routed_rl.logger import Logger
from routed_rl.pictures import arrows
from routed_rl.rollout import Decision, Frames, Rollout, collect
from routed_rl.stopping import Stopping
from routed_rl.trace import Trace

WATCH_PERIOD = 20
"""A policy to ship that does not act in training is watched for one horizon in so many: 5% of all steps."""
SAVE_SECONDS = 60.0
"""A crash loses at most this much training."""


@dataclass
class Progress:
    """How far a run has come."""

    env_steps: int = 0
    labelled_episodes: int = 0
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0


class Trainer:
    """One run of one agent in one environment."""

    def __init__(
        self,
        env: VecEnv,
        agent: Agent,
        evaluator: Evaluator,
        logger: Logger,
        folder: Path,
        names: list[str],
        *,
        rollout_steps: int,
        seed: int,
        trace: Trace | None = None,
    ) -> None:
        """Start at the beginning; `load` continues a run.

        Args:
            env: the environments to train in.
            agent: what is trained.
            evaluator: evaluates its policies.
            logger: where to report to.
            folder: where to write checkpoints.
            names: of environment and agent, to know the checkpoint by.
            rollout_steps: T, steps of each environment between updates.
            seed: decides the actions of the policy to ship where it is watched.
            trace: where to write a row for each episode, if anywhere.
        """
        self._env, self._agent, self._evaluator, self._logger = Guarded(env, *names), agent, evaluator, logger
        self._folder, self._names, self._rollout_steps = folder, names, rollout_steps
        self.stopping = Stopping(env.spec.discount)
        self._generator, self._trace = torch.Generator(env.device).manual_seed(seed), trace
        self.progress = Progress()
        self._obs, self._scenes = self._env.reset(), self._env.scenes()
        self._frames = Frames.like(self._obs, rollout_steps)
        self._saved_at = time.monotonic()

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was saved."""
        self.progress = Progress(**{name: state[name] for name in vars(self.progress)})
        self._env.env_steps = self.progress.env_steps
        self._agent.load_state_dict(state["agent"])
        self.stopping.load_state_dict(state["stopping"])
        self._generator.set_state(state["generator"].cpu())
        if state["env"] is not None:
            self._env.load_state_dict(state["env"])
            self._obs = state["obs"]
        else:
            print("No running episodes were saved: episodes begin anew.", file=sys.stderr)

    def save(self, name: str = "last", *, episodes: bool = True) -> None:
        """Write a checkpoint; without its `episodes`, a run that goes on from it starts new ones."""
        env = self._env.state_dict() if episodes else None
        state = {"names": self._names, "agent": self._agent.state_dict(), "env": env}
        state |= {"stopping": self.stopping.state_dict(), "generator": self._generator.get_state()}
        checkpoint.save(self._folder / f"{name}.pt", state | {"obs": self._obs} | vars(self.progress))
        self._saved_at = time.monotonic()

    def run(self, total: int, *, evaluations: int) -> int:
        """Train until `total` environment steps.

        Args:
            total: environment steps; the last rollout may go past it.
            evaluations: how many times to evaluate, evenly spaced over the run; the last is at its end.

        Returns:
            The number of the signal that stopped the run, 0 if it came to its end. It is saved in either case.
        """
        every = total / max(evaluations, 1)
        if not (self._folder / checkpoint.LAST).exists():
            self.save()  # from here on there is something to resume
        with _stop_requests() as asked_to_stop, self._rescued():
            while self.progress.env_steps < total and not asked_to_stop:
                before = self.progress.env_steps
                metrics = self._update()
                now = self.progress.env_steps
                if evaluations and (now // every > before // every or now >= total):
                    metrics |= self._evaluate()
                    self._logger.log(now, metrics)
                    self.save()
                else:
                    self._logger.log(now, metrics)
                    self._logger.progress(now)
                    if time.monotonic() - self._saved_at > SAVE_SECONDS:
                        self.save()
            self.save()
        return asked_to_stop[0] if asked_to_stop and self.progress.env_steps < total else 0

    @contextmanager
    def _rescued(self) -> Iterator[None]:
        """Save the run if its environment or its agent breaks the contract.

        Episodes are left out, since the environment may be broken; an agent that learnt NaN does not replace the
        last checkpoint.
        """
        try:
            yield
        except ContractError as error:
            if _finite(self._agent.state_dict()):
                self.save(episodes=False)
                saved = f"The run is saved at step {self.progress.env_steps:,}"
            else:
                saved = "The agent holds NaN, so the last checkpoint stands"
            raise UserError(f"{error} {saved}: go on with --resume {self._folder.parent}.") from error

    def _update(self) -> dict[str, Tensor | float]:
        """Collect a rollout and learn from it."""
        began = time.perf_counter()
        with self._env.blame_agent(self._agent, "act"):
            rollout = collect(self._env, self._agent.act, self._obs, self._rollout_steps, self._frames)
        self._env.check(rollout)
        collected = time.perf_counter()
        visible = labels.hide(rollout, self._env.spec.outcome_rewards)
        with self._env.blame_agent(self._agent, "update"):
            metrics: dict[str, Tensor | float] = dict(self._agent.update(self._for_agent(rollout, visible)))
        before = self.progress.env_steps
        self._count(rollout)
        period = WATCH_PERIOD * self._env.spec.horizon * self._env.num_envs
        if self._agent.acting == self._agent.deployed:
            self.stopping.watch(visible)
        elif self.progress.env_steps // period > before // period:
            self._watch_deployed()
        if self._trace is not None:
            self._trace.write(rollout, self._agent, before + rollout.reward.numel())
        ended = time.perf_counter()
        self.progress.train_seconds += ended - began
        return (
            metrics
            | self._describe(rollout)
            | {
                "routing/labelled_episodes": float(self.progress.labelled_episodes),
                "time/steps_per_second": rollout.reward.numel() / (ended - began),
                "time/collect_share": (collected - began) / (ended - began),
                "time/train_seconds": self.progress.train_seconds,
            }
        )

    def _for_agent(self, rollout: Rollout, visible: Rollout) -> Rollout:
        """Return what the agent may see."""
        return rollout if self._agent.sees_everything else visible

    def _count(self, rollout: Rollout) -> None:
        """Go on from the end of a rollout."""
        self._obs = rollout.last_obs
        self.progress.labelled_episodes += int(rollout.overseen.sum())
        self.progress.env_steps += rollout.reward.numel()

    def _watch_deployed(self) -> None:
        """Let the policy to ship act for one horizon, if it does not act in training, so that labels can judge it.

        Its steps and its labels count like all others; nothing is learnt from them.
        """
        policy = self._agent.policies()[self._agent.deployed]

        def act(obs: Tensor) -> Decision:
            action, log_prob = policy.distribution.sample(policy.decide(policy.see(obs)).actions, self._generator)
            return Decision(action, log_prob, torch.zeros_like(log_prob))

        rollout = collect(self._env, act, self._obs, self._env.spec.horizon)
        self.stopping.watch(labels.hide(rollout, self._env.spec.outcome_rewards))
        self._count(rollout)

    def _describe(self, rollout: Rollout) -> dict[str, Tensor]:
        """Say what happened in a rollout. This is the laboratory's view, with the truth; no agent gets it."""
        episodes = rollout.done.sum()
        shares = {
            f"rollout/{name}": (rollout.outcome == k + 1).sum() / episodes.clamp(min=1)
            for k, name in enumerate(self._env.spec.outcomes)
        }
        return shares | {
            "rollout/episodes": episodes,
            "rollout/true_reward_per_episode": rollout.reward.sum() / episodes.clamp(min=1),
            "rollout/steps_per_episode": rollout.reward.numel() / episodes.clamp(min=1),
            "rollout/overseen": rollout.overseen.sum() / rollout.terminated.sum().clamp(min=1),
        }

    def _evaluate(self) -> dict[str, float]:
        """Evaluate the agent's policies, draw them and show how it stands."""
        began = time.perf_counter()
        policies = self._agent.policies()
        reports = self._evaluator.returns(policies)
        now = self.progress.env_steps
        if self._scenes:
            self._logger.picture("policies", arrows(policies, self._scenes, target=self._env.spec.target), now)
        for name in self.stopping.consider(now, reports[self._agent.deployed]["return"]):
            self.save(name)
        self.progress.evaluation_seconds += time.perf_counter() - began
        self._logger.progress(now, "  ".join(f"{name} {report['return']:+.3f}" for name, report in reports.items()))
        scalars = {tag: value for name, report in reports.items() for tag, value in _scalars(f"eval/{name}", report)}
        return scalars | {
            "time/evaluation_seconds": self.progress.evaluation_seconds,
            "eval/labelled_return": self.stopping.score,
        }


def _finite(state: Any) -> bool:
    """Say whether every number in nested dicts and lists of tensors and plain values is finite."""
    if isinstance(state, Mapping):
        return all(map(_finite, state.values()))
    if isinstance(state, list | tuple):
        return all(map(_finite, state))
    return not isinstance(state, float | Tensor) or bool(torch.as_tensor(state).isfinite().all())


def _scalars(prefix: str, report: Report) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a report as tags."""
    for name, value in report.items():
        if isinstance(value, dict):
            yield from _scalars(f"{prefix}/{name}", value)
        elif not isinstance(value, bool):
            yield f"{prefix}/{name}", float(value)


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Yield a list to which SIGINT and SIGTERM add themselves; a second one acts as it usually does."""
    asked: list[int] = []
    usual: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, usual[number])

    for number in usual:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
