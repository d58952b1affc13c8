"""A run in its folder: its training, its result, and what is deployed of it."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from routed_rl.algorithms.agent import Agent
from routed_rl.evaluation.evaluator import Evaluator, Reports
from routed_rl.models.policy import Policy
from routed_rl.rollouts.attribution import ContractError
from routed_rl.training import builder, checkpoints
from routed_rl.training.logs import trackers
from routed_rl.training.logs.episode_log import EpisodeLog
from routed_rl.training.logs.logger import Logger
from routed_rl.training.run_folder import (
    RESULT,
    BestCheckpoint,
    RunResult,
    claim,
    describe,
    read_result,
    release,
    to_write_into,
    write_result,
)
from routed_rl.training.settings import DEFAULT_AGENT, RunSettings
from routed_rl.training.setup import Setup
from routed_rl.training.trainer import Trainer, TrainerConfig
from routed_rl.utils import machine, ranks
from routed_rl.utils.errors import UserError
from routed_rl.worlds.config import without_budget
from routed_rl.worlds.vec_env import VecEnv

FEWEST_EPISODES = 20
"""Of a point of a learning curve."""
FEWEST_EVALUATIONS = 4


def train(
    env: Any,
    agent: Any = DEFAULT_AGENT,
    *,
    steps: int = RunSettings.steps,
    seed: int = 0,
    folder: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Train an agent in an environment, as train.py does.

    Args:
        env: an environment's `Config`, its name, or both as `routed_rl.Named`.
        agent: an agent's, likewise.
        steps: environment steps to train for.
        seed: decides everything random.
        folder: for the run's files; a new one under runs/ unless given.
        settings: the other fields of `RunSettings`, such as `num_envs` and `evaluations`.

    Returns:
        The run, trained.

    Raises:
        UserError: if a name or a value is wrong, or the folder holds something already.
        KeyboardInterrupt: if Ctrl-C or SIGTERM stopped it. The run is saved:
            `load(folder).resume()`.
    """
    own = builder.run_settings(steps=steps, seed=seed, **settings)
    setup = builder.from_configs(env, agent, own)
    run = Run(setup, claim(setup.config, folder).resolve())
    if run.train():
        raise KeyboardInterrupt(f"stopped and saved: go on with load({str(run.folder)!r}).resume()")
    return run


def load(folder: str | Path, checkpoint: str = "last") -> Run:
    """Reopen a run by its folder.

    Args:
        folder: of the run.
        checkpoint: what to take the agent from: last, previous, best_by_labels, best_by_truth, or
            the path of a file.

    Raises:
        UserError: if there is no run in it, or no such checkpoint.
    """
    run = Run(builder.reopen(Path(folder)), Path(folder).resolve())
    run.checkpoint = checkpoints.find(run.checkpoint.parent, checkpoint)
    return run


class Run:
    """A run in its folder."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        """Take what the folder's run is made of."""
        self.setup = setup
        self.folder = folder
        self._last = folder / "checkpoints" / checkpoints.LAST
        self.checkpoint = self._last
        """What `agent` is taken from."""

    @property
    def result(self) -> RunResult:
        """What result.json holds.

        Raises:
            UserError: if the run has not come to its end.
        """
        try:
            return read_result(self._result_file)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.folder} has no readable result.json ({error}): go on with --resume."
            ) from None

    def _has_result(self, env_steps: int) -> bool:
        """Say whether it came to its end after so many steps."""
        try:
            return self.result["env_steps"] >= env_steps
        except UserError:  # result.json is written anew
            return False

    @property
    def _has_begun(self) -> bool:
        """Whether a checkpoint was saved once, even if it is gone now."""
        traces = (self._last, self._last.with_name(checkpoints.PREVIOUS), self._result_file)
        return any(path.exists() for path in traces)

    @property
    def _result_file(self) -> Path:
        return self.folder / RESULT

    @cached_property
    def agent(self) -> Agent[Any]:
        """The agent of the checkpoint."""
        agent = self.setup.make_agent(self.setup.make_env(1, seed=0))
        state = checkpoints.load(self.checkpoint, self.setup.device)
        self.setup.restore(agent, state, self.checkpoint)
        return agent

    def policies(self) -> dict[str, Policy]:
        """Return the agent's policies, by name."""
        return self.agent.policies()

    def deploy(self) -> Policy:
        """Return the policy to deploy: of experts the good outcome's alone, all others ablated."""
        return self.policies()[self.agent.deployed]

    def evaluate(self, **settings: Any) -> Reports:
        """Evaluate every policy; for `settings` see `Setup.make_evaluator` and `Evaluator`."""
        with machine.few_threads_for(self.deploy()):
            return self.setup.make_evaluator(**settings).full(self.policies())

    def resume(self, *, steps: int | None = None) -> Run:
        """Go on with the run, to more steps if they are given; return it."""
        flags = [] if steps is None else ["--steps", str(steps)]
        self.setup = builder.reopen(self.folder, flags)
        if self.train(resume=True):
            raise KeyboardInterrupt(f"stopped and saved in {self.folder}")
        return self

    def train(self, *, resume: bool = False) -> int:
        """Train, and leave result.json in the folder.

        Args:
            resume: continue from the last checkpoint; otherwise the folder is empty.

        Returns:
            0, or the number of the signal that stopped the run.

        Raises:
            UserError: if there is nothing to resume, or nothing left to do.
        """
        with to_write_into(self.folder) as folder:
            if not resume and self._last.exists():
                raise UserError(
                    f"{self.folder} has a run already: go on with --resume, or resume()."
                )
            self.__dict__.pop("agent", None)  # the one of an earlier checkpoint
            self.checkpoint = self._last
            state = None
            if resume and self._has_begun:
                state = checkpoints.load(self._last, self.setup.device)
                builder.check_settings(builder.settings_of(self.folder), state, self._last)
            elif resume:
                print(f"{self.folder} has no checkpoint yet: it begins anew.", file=sys.stderr)
            try:
                return self._train(state, folder)
            except UserError:
                if not resume:
                    release(folder)  # so that the next try can have it
                raise

    def _train(self, state: dict[str, Any] | None, folder: Path) -> int:
        """Train from a checkpoint's state, or from the beginning; write into a folder."""
        settings = self.setup.config.settings
        start = 0 if state is None else state["env_steps"]
        if state is not None and start >= settings.steps and self._has_result(start):
            raise UserError(
                f"{self.folder} has its {start:,} steps: give more with --steps to go on."
            )
        trackers.check(settings.track)
        num_envs = ranks.share(settings.num_envs, "num-envs")
        if ranks.count() > 1 and without_budget(self.setup.config.env) != self.setup.config.env:
            raise UserError("env.label-budget counts the labels of one process: leave it out.")
        env = self.setup.make_env(num_envs, seed=self.setup.env_seed)
        agent = self.setup.make_agent(env)
        if state is not None:
            self.setup.restore(agent, state, self._last)
        plays = _Plays.of(settings, env.spec.horizon, len(agent.policies()))
        machine.keep_memory()
        with machine.few_threads_for(agent.policies()[agent.acting]):
            evaluator = self.setup.make_evaluator(
                episodes=plays.episodes, curve_episodes=plays.curve_episodes
            )
            evaluations = settings.evaluations if evaluator.exact else plays.evaluations
            logger = self._begin(folder, start)
            try:
                trainer = self._trainer(env, agent, evaluator, logger, folder)
                if state is not None:
                    with checkpoints.fitting(self._last):
                        trainer.load(state)
                stopped_by = trainer.run(settings.steps, evaluations=evaluations)
            finally:
                logger.close()
            if not stopped_by and not ranks.index():
                write_result(self._result_file, self._judge(agent, evaluator, trainer))
        return stopped_by

    def _begin(self, folder: Path, start: int) -> Logger:
        """Write down what is trained, say so, and open what is reported to."""
        settings = self.setup.config.settings
        plain = self.setup.config.to_plain()
        describe(folder, plain)
        if not ranks.index():
            print(self._headline(start), flush=True)
        track = "" if ranks.index() else settings.track
        logger = Logger(folder, total=settings.steps, start=start, track=track)
        logger.settings(plain, self.setup.config.compared())
        return logger

    def _trainer(
        self, env: VecEnv, agent: Agent[Any], evaluator: Evaluator, logger: Logger, folder: Path
    ) -> Trainer:
        """Put the trainer together."""
        log = None
        if self.setup.config.settings.episode_log:
            log = EpisodeLog(folder / "episodes.csv", env.spec, up_to=logger.start)
        config = TrainerConfig(
            run_folder=self.folder,
            folder=folder / self._last.parent.name,
            names=self.setup.names,
            settings=self.setup.config.to_plain(),
            seed=self.setup.selection_seed,
        )
        return Trainer(env, agent, evaluator, logger, config, log)

    def _headline(self, start: int) -> str:
        """Say what is trained, how long and where."""
        config = self.setup.config
        steps = f"{config.settings.steps:,} steps into"
        if start:
            steps = f"from step {start:,} to {config.settings.steps:,} in"
        return f"{config.title}: {steps} {self.folder}"

    def _judge(self, agent: Agent[Any], evaluator: Evaluator, trainer: Trainer) -> RunResult:
        """Evaluate what was trained; what the environment does wrong loses nothing."""
        try:
            return self._result(agent, evaluator, trainer)
        except ContractError as error:
            steps = trainer.progress.env_steps
            go_on = f"--resume {quote(str(self.folder))}"
            raise UserError(
                f"{error} The run is saved at step {steps:,}: go on with {go_on}."
            ) from error

    def _result(self, agent: Agent[Any], evaluator: Evaluator, trainer: Trainer) -> RunResult:
        """Put together what result.json holds."""
        progress = trainer.progress
        reports = {progress.env_steps: evaluator.full(agent.policies())}
        best: dict[str, BestCheckpoint] = {}
        spare = self.setup.make_agent(self.setup.make_env(1, seed=0))  # the last one stays as it is
        for name, (_, env_steps) in trainer.selector.best.items():
            path = self._last.with_name(f"{name}.pt")
            try:
                state = checkpoints.load(path, self.setup.device)
                builder.check_settings(self.setup.config.to_plain(), state, path)
                self.setup.restore(spare, state, path)
            except UserError as error:
                print(f"left out of result.json: {name}: {error}", file=sys.stderr)
                continue
            if env_steps not in reports:  # choices often fall on the same step
                reports[env_steps] = evaluator.full(spare.policies())
            best[name] = {"env_steps": env_steps, "policies": reports[env_steps]}
        result: Any = {
            "env": self.setup.config.names.env_title,
            "agent": self.setup.config.names.agent,
            "seed": self.setup.config.settings.seed,
            "env_steps": progress.env_steps,
            "train_seconds": round(progress.train_seconds, 3),
            "labelled_episodes": progress.labelled_episodes,
            "happened": dict(zip(evaluator.spec.outcomes, progress.happened, strict=False)),
            "labelled": dict(zip(evaluator.spec.outcomes, progress.labelled, strict=False)),
            "sees_everything": agent.sees_everything,
            "deployed": agent.deployed,
            "policies": reports[progress.env_steps],
            "references": evaluator.references(),
        }
        return result | best


class _Plays(NamedTuple):
    """How much to play, lest evaluation outlast training where a world is slow."""

    episodes: int
    """Of an evaluation."""
    curve_episodes: int
    """Of a point of the learning curve."""
    evaluations: int
    """Points of the curve behind the first."""

    @classmethod
    def of(cls, settings: RunSettings, horizon: int, policies: int) -> _Plays:
        """Let a play take at most a tenth of the run's steps, and so a whole learning curve.

        Unless these would be too few episodes, or points, to say anything.
        """
        tenth = settings.steps // (10 * horizon)
        affordable = tenth // (FEWEST_EPISODES * policies) - 1
        evaluations = min(settings.evaluations, max(affordable, FEWEST_EVALUATIONS))
        points = policies * (evaluations + 1)
        return cls(
            episodes=min(settings.episodes, max(tenth, 100)),
            curve_episodes=min(settings.episodes, max(tenth // points, FEWEST_EPISODES)),
            evaluations=evaluations,
        )
