"""The loop: collect, hide, update, log; evaluate and save now and then; stop when asked to."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from torch import Tensor

from routed_rl.algorithms.agent import Agent
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.rollouts import labels
from routed_rl.rollouts.attribution import ContractError
from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.rollouts.episode_means import EpisodeMeans
from routed_rl.rollouts.rollout import (
    Decision,
    Frames,
    Rollout,
    VisibleRollout,
    collect,
    from_all_ranks,
)
from routed_rl.training import checkpoints
from routed_rl.training.checkpoint_selector import CheckpointSelector, RunningEpisodes
from routed_rl.training.logs.board_log import BoardLog
from routed_rl.training.logs.episode_log import EpisodeLog
from routed_rl.training.logs.logger import Logger, Value
from routed_rl.training.run_progress import RunProgress
from routed_rl.utils import ranks
from routed_rl.utils.errors import UserError
from routed_rl.utils.interrupts import stop_requests
from routed_rl.worlds.vec_env import VecEnv

OBSERVE_PERIOD = 20
"""A deployed policy that does not act in training acts for one step in so many: 5%."""
SAVE_SECONDS = 60.0
"""A crash loses at most this much training."""
PICTURES = 5
"""Policies are drawn so often on the way: a picture takes half as long as an exact evaluation."""
ROWS = 2000
"""So many updates of a run are logged at most, evenly spread: a long run's files stay small."""
_LABELS = "routing/labelled_episodes"


@dataclass(frozen=True)
class TrainerConfig:
    """Where a trainer saves, and under which names."""

    run_folder: Path
    """The run's, to go on from."""
    folder: Path
    """For checkpoints; where several processes train, the first one's is in the run's."""
    names: list[str]
    """Of environment and agent, to know the checkpoints by."""
    settings: Mapping[str, Any]
    """Of the run, which its checkpoints hold, lest one of another run passes for one of this."""
    seed: int
    """Decides the actions of a deployed policy that does not act in training."""


class Trainer:
    """One run of one agent in one environment."""

    def __init__(
        self,
        env: VecEnv,
        agent: Agent[Any],
        evaluator: Evaluator,
        logger: Logger,
        config: TrainerConfig,
        episode_log: EpisodeLog | None = None,
    ) -> None:
        """Start at the beginning; `load` continues a run.

        Args:
            env: the environments to train in.
            agent: what is trained.
            evaluator: evaluates its policies.
            logger: where to report to.
            config: where to save.
            episode_log: where to write a row for each episode, if anywhere.
        """
        self._env = CheckedWorld(env, *config.names)
        self._agent = agent
        self._evaluator = evaluator
        self._logger = logger
        self._config = config
        self._episode_log = episode_log
        num_envs = env.num_envs * ranks.count()
        self._episodes = EpisodeMeans(num_envs, env.device)
        running = None
        if agent.acting == agent.deployed and not env.spec.outcomes_end:
            running = RunningEpisodes(num_envs, env.spec.discount, env.device)
        one_sided = env.spec.one_sided
        self.selector = CheckpointSelector(env.spec.discount, running, one_sided=one_sided)
        self.progress = RunProgress()
        self._generator = torch.Generator(env.device).manual_seed(config.seed)
        self._obs = self._env.reset()
        scenes = self._env.scenes()
        self._boards = BoardLog(config.folder.parent, scenes, env.spec.target, logger)
        self._frames = Frames.like(self._obs, agent.rollout_steps)
        self._saved_at = time.monotonic()

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was saved, with an agent that is restored already."""
        self.progress = RunProgress.of(state)
        self._env.begin_rollout(self.progress.env_steps)
        self.selector.load_state_dict(state["selector"])
        self._generator.set_state(state["generator"].cpu())
        env, obs = ranks.mine(state["env"]), ranks.mine(state["obs"])
        if env is not None:
            self._env.load_state_dict(env)
            if (obs.shape, obs.dtype) != (self._obs.shape, self._obs.dtype):
                raise ValueError(f"its observations are {tuple(obs.shape)} {obs.dtype}")
            self._obs = obs
            if "episodes" in state:  # not before version 0.4
                self._episodes.load_state_dict(state["episodes"])
        else:
            print("No running episodes were saved: episodes begin anew.", file=sys.stderr)
            self.selector.begin_anew()
            # Those that the world began with were played already, when the run was new.
            if self._env.reseed(self.progress.env_steps):
                self._obs = self._env.reset()

    def save(self, name: str = "last", *, episodes: bool = True) -> None:
        """Write a checkpoint; without `episodes`, a run that goes on from it starts new ones."""
        agent = ranks.state_of_first(self._agent.state_dict(), self._env.device)
        if ranks.index():  # what was computed elsewhere may differ in its last bits
            self._agent.load_state_dict(agent)
        state = {
            "names": self._config.names,
            "settings": self._config.settings,
            "agent": agent,
            "env": ranks.everyones(self._env.state_dict()) if episodes else None,
            "selector": self.selector.state_dict(),
            "episodes": self._episodes.state_dict(),
            "generator": self._generator.get_state(),
            "obs": ranks.everyones(self._obs) if episodes else None,
        }
        checkpoints.save(self._config.folder / f"{name}.pt", state | vars(self.progress))
        self._saved_at = time.monotonic()

    def run(self, total: int, *, evaluations: int) -> int:
        """Train until `total` environment steps.

        Args:
            total: environment steps; the last rollout may go past it.
            evaluations: how many times to evaluate, evenly spaced over the run; the last at its
                end. A new run is evaluated once more, before it has learnt anything.

        Returns:
            The number of the signal that stopped the run, 0 if it came to its end. It is saved in
            either case.
        """
        every = total / max(evaluations, 1)
        drawn_every = max(every, total / PICTURES)
        logged_every = total / ROWS
        new = not (self._config.folder / checkpoints.LAST).exists()
        if ranks.from_first(new):
            self.save()  # from here on there is something to resume
        stopped_by = 0
        with stop_requests() as asked_to_stop, self._rescued():
            if evaluations and not self.progress.env_steps:
                self._logger.log(0, self._evaluate(draw=True))
            while self.progress.env_steps < total and not stopped_by:
                before = self.progress.env_steps
                self._agent.set_progress(before / total)
                metrics = self._update()
                now = self.progress.env_steps
                ended = now >= total
                if evaluations and (ended or _passed(every, before, now)):
                    draw = ended or _passed(drawn_every, before, now)
                    self._logger.log(now, self._evaluate(draw=draw) | metrics)
                    self.save()
                else:
                    if ended or _passed(logged_every, before, now):
                        self._logger.log(now, metrics)
                    self._logger.progress(now)
                    if ranks.largest(time.monotonic() - self._saved_at > SAVE_SECONDS):
                        self.save()
                stopped_by = ranks.largest(asked_to_stop[0] if asked_to_stop else 0)
            self.save()
        return stopped_by if self.progress.env_steps < total else 0

    @contextmanager
    def _rescued(self) -> Iterator[None]:
        """Save the run if its environment or its agent breaks the contract.

        Episodes are left out, since the environment may be broken; an agent that learnt NaN does
        not replace the last checkpoint.
        """
        try:
            yield
        except ContractError as error:
            saved = "The last checkpoint stands"
            if not checkpoints.is_finite(self._agent.state_dict()):
                saved = "The agent holds NaN, so the last checkpoint stands"
            elif ranks.count() == 1:
                self.save(episodes=False)
                saved = f"The run is saved at step {self.progress.env_steps:,}"
            raise UserError(f"{error} {saved}: {self._remedy}") from error
        except ranks.RankLostError as error:
            raise UserError(f"{error} The last checkpoint stands: {self._remedy}") from error

    @property
    def _remedy(self) -> str:
        """What to do when the run has broken off."""
        return f"go on with --resume {quote(str(self._config.run_folder))}."

    def _update(self) -> dict[str, Value]:
        """Collect a rollout and learn from it."""
        began = time.perf_counter()
        self._env.begin_rollout(self.progress.env_steps)
        with self._env.attributed_to_agent(self._agent, "act"):
            rollout = collect(
                self._env, self._agent.act, self._obs, self._agent.rollout_steps, self._frames
            )
        self._env.check(rollout)
        rollout = from_all_ranks(rollout)
        collected = time.perf_counter()
        visible = labels.hide(rollout, self._env.spec)
        with self._env.attributed_to_agent(self._agent, "update"):
            metrics = self._agent.update(rollout if self._agent.sees_everything else visible)
        before = self.progress.env_steps
        happened = self._count(rollout)
        if self._episode_log is not None:
            after = self.progress.env_steps
            self._episode_log.write(rollout, visible.label, self._agent, after)
        self._observe_deployed(visible, before)
        seconds = max(time.perf_counter() - began, 1e-9)  # clocks may stand still
        self.progress.train_seconds += seconds
        speed: dict[str, Value] = {
            _LABELS: float(self.progress.labelled_episodes),
            "time/steps_per_second": rollout.reward.numel() / seconds,
            "time/collect_share": (collected - began) / seconds,
            "time/train_seconds": self.progress.train_seconds,
        }
        return {**happened, **metrics, **speed}

    def _count(self, rollout: Rollout) -> dict[str, Tensor]:
        """Go on from the end of a rollout; return what happened in it."""
        self._obs = ranks.own(rollout.last_obs)
        outcomes = self._env.spec.outcomes
        self.progress.count(rollout, len(outcomes))
        return self._episodes.describe(rollout, outcomes)

    def _observe_deployed(self, visible: VisibleRollout, before: int) -> None:
        """Let labels judge the deployed policy, now and then if it does not act in training."""
        period = OBSERVE_PERIOD * self._look_steps * self._env.num_envs * ranks.count()
        if self._agent.acting == self._agent.deployed:
            self.selector.observe(visible)
        elif _passed(period, before, self.progress.env_steps):
            self._play_deployed()

    def _play_deployed(self) -> None:
        """Let the deployed policy act, so long that whole episodes lie in it.

        Its steps and its labels count like all others; nothing is learnt from them.
        """
        policy = self._agent.policies()[self._agent.deployed]

        def act(obs: Tensor) -> Decision:
            parameters = policy.forward_encoded(policy.encode(obs)).actions
            drawn = policy.distribution.sample(ranks.spread(parameters), self._generator)
            action, log_prob = map(ranks.own, drawn)
            return Decision(action, log_prob, torch.zeros_like(log_prob))

        self._env.begin_rollout(self.progress.env_steps)
        rollout = collect(self._env, act, self._obs, self._look_steps)
        self._env.check(rollout)
        rollout = from_all_ranks(rollout)
        self.selector.observe(labels.hide(rollout, self._env.spec))
        self._count(rollout)

    @property
    def _look_steps(self) -> int:
        """For how many steps a deployed policy acts that does not act in training."""
        spec = self._env.spec
        # It begins in the middle of episodes: where these are long, one horizon would hold none.
        return spec.horizon if spec.outcomes_end else 2 * spec.horizon

    def _evaluate(self, *, draw: bool) -> dict[str, Value]:
        """Evaluate the agent's policies, draw them maybe, and show how it stands."""
        began = time.perf_counter()
        policies = self._agent.policies()
        deployed = self._agent.deployed
        reports = self._evaluator.returns(policies)
        now = self.progress.env_steps
        self._boards.show(policies, deployed, now, picture=draw)
        if now:  # what has learnt nothing is no checkpoint to choose
            # Evaluations may differ in their last bits, and all have to save the same.
            truth = ranks.from_first(reports[deployed].true_return)
            for name in self.selector.consider(now, truth):
                self.save(name)
        self.progress.evaluation_seconds += time.perf_counter() - began
        notes = [f"{name} {report.true_return:+.3f}" for name, report in reports.items()]
        self._logger.progress(now, "  ".join(notes))
        scalars = reports[deployed].scalars("deployed")
        for name, report in reports.items():
            scalars |= report.scalars(name)
        if not math.isnan(self.selector.score):
            scalars["eval/labelled_return"] = self.selector.score
        labels = float(self.progress.labelled_episodes)
        seconds = self.progress.evaluation_seconds
        return {**scalars, _LABELS: labels, "time/evaluation_seconds": seconds}


def _passed(period: float, before: int, now: int) -> bool:
    """Say whether a multiple of `period` lies behind `before`, up to `now`."""
    return now // period > before // period
