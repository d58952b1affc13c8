"""A run: what is built from its settings, its training, and its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from routed_rl import checkpoint, config
from routed_rl.agent import Agent
from routed_rl.config import UserError
from routed_rl.env import VecEnv
from routed_rl.evaluation import Evaluator
from routed_rl.guard import ContractError, Guarded, blame
from routed_rl.logger import Logger
from routed_rl.plugins import Plugins
from routed_rl.revalued import Revalued
from routed_rl.run_folder import charts, describe
from routed_rl.settings import Choice, changed, settings_class, to_device
from routed_rl.trace import Trace
from routed_rl.trainer import Trainer


class Run:
    """An environment, an agent and what evaluates it, as their settings say."""

    def __init__(self, choice: Choice, flags: Sequence[str], *, prog: str, description: str = "") -> None:
        """Read the settings; the environment and the agent are not built yet.

        Args:
            choice: names.
            flags: everything else, as on the command line.
            prog: the program's name in its help.
            description: what the help begins with.

        Raises:
            UserError: if a name, a flag or a value is wrong.
        """
        plugins = Plugins(choice.plugins)
        self.choice = choice
        self._env_module, self._agent_module = plugins.load("envs", choice.env), plugins.load("agents", choice.agent)
        joined = settings_class(self._env_module, self._agent_module)
        self.settings: Any = config.parse(joined, flags, prog=prog, description=description)
        self.device = to_device(self.settings.device)

    def plain(self) -> dict[str, Any]:
        """Return names and settings as config.yaml holds them."""
        plain = config.to_plain(self.settings)
        plain["env"] = {"name": self.choice.env} | plain["env"]
        plain["agent"] = {"name": self.choice.agent} | plain["agent"]
        return plain | ({"plugins": list(self.choice.plugins)} if self.choice.plugins else {})

    def make_env(self, num_envs: int, *, seed: int, oversight: float | None = None, good: Sequence[str] = ()) -> VecEnv:
        """Make the environment, at another oversight and with other good outcomes if given."""
        env_config = self.settings.env
        if oversight is not None:
            env_config = changed(env_config, oversight=oversight)
        return self._make(env_config, num_envs, seed, good or self.settings.good)

    def _make(self, env_config: Any, num_envs: int, seed: int, good: Sequence[str]) -> VecEnv:
        """Make the environment, under other values if some outcomes are named good."""
        with blame(f"environment {self.choice.env}", self._env_module):
            env = self._env_module.make(env_config, num_envs, seed=seed, device=self.device)
        try:
            return Revalued(env, good) if good else env
        except ValueError as error:
            raise UserError(f"good: {error}") from None

    def make_agent(self, env: VecEnv) -> Agent:
        """Make the agent."""
        with blame(f"agent {self.choice.agent}", self._agent_module):
            return self._agent_module.Agent(env.spec, self.settings.agent, seed=self._seeds[1], device=self.device)

    def make_evaluator(self, *, oversight: float | None = None, good: Sequence[str] = (), **kwargs: Any) -> Evaluator:
        """Make what evaluates the agent's policies, with labels without end; for `kwargs` see `Evaluator`."""
        settings = self.settings.env
        if hasattr(settings, "label_budget"):
            settings = changed(settings, label_budget=None)
        at = settings.oversight if oversight is None else oversight

        def make_env(num_envs: int, *, oversight: float | None = None) -> VecEnv:
            there = changed(settings, oversight=at if oversight is None else oversight)
            env = self._make(there, num_envs, self._seeds[2], good or self.settings.good)
            return Guarded(env, f"{self.choice.env} in evaluation")

        return Evaluator(make_env, seed=self._seeds[2], **{"episodes": self.settings.episodes} | kwargs)

    def restore(self, agent: Agent, state: Mapping[str, Any], path: Path) -> None:
        """Load a checkpoint's agent.

        Raises:
            UserError: if the checkpoint is of another agent or another shape of it.
        """
        if state["names"] != self.names:
            was, now = " and ".join(state["names"]), " and ".join(self.names)
            raise UserError(f"{path} was saved by {was}, this run is of {now}: put the file that belongs here back.")
        try:
            agent.load_state_dict(state["agent"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{path} does not fit config.yaml ({reason}): put the file that belongs to it back."
            ) from None

    def train(self, folder: Path, *, resume: bool = False) -> int:
        """Train in a run folder and leave result.json there.

        Args:
            folder: exists, and is empty unless `resume`.
            resume: continue from its checkpoint.

        Returns:
            0, or the number of the signal that stopped the run.

        Raises:
            UserError: if there is nothing to resume, or nothing left to do.
        """
        settings, checkpoints = self.settings, folder / "checkpoints"
        path = checkpoints / "last.pt"
        state = checkpoint.load(path, self.device) if resume else None
        result = folder / "result.json"
        if state is not None and state["env_steps"] >= settings.steps and result.exists():
            raise UserError(f"{folder} has its {state['env_steps']:,} steps: give more with --steps to go on.")
        env = self.make_env(settings.num_envs, seed=self._seeds[0])
        agent = self.make_agent(env)
        if state is not None:
            self.restore(agent, state, path)
        evaluator = self.make_evaluator(**self._episodes(env.spec.horizon, len(agent.policies())))
        result.unlink(missing_ok=True)  # it is of fewer steps
        describe(folder, self.plain())
        start = 0 if state is None else state["env_steps"]
        logger = Logger(folder, total=settings.steps, start=start)
        logger.settings(self.plain())
        logger.layout(charts(list(agent.policies())))
        trace = Trace(folder / "episodes.csv", env.spec, up_to=start) if settings.trace else None
        steps, seed = settings.agent.rollout_steps, self._seeds[3]
        trainer = Trainer(
            env, agent, evaluator, logger, checkpoints, self.names, rollout_steps=steps, seed=seed, trace=trace
        )
        if state is not None:
            trainer.load(state)
        try:
            stopped_by = trainer.run(settings.steps, evaluations=settings.evaluations)
        finally:
            logger.close()
        if not stopped_by:
            try:
                found = self._result(agent, evaluator, trainer, checkpoints)
            except ContractError as error:
                saved = f"The run is saved at step {trainer.progress.env_steps:,}: go on with --resume {folder}."
                raise UserError(f"{error} {saved}") from error
            checkpoint.write_text(result, json.dumps(found, indent=2) + "\n")
        return stopped_by

    def _result(self, agent: Agent, evaluator: Evaluator, trainer: Trainer, checkpoints: Path) -> dict[str, Any]:
        """Put together what result.json holds; the agent ends as its last checkpoint."""
        progress, best = trainer.progress, {}
        reports = {progress.env_steps: evaluator.full(agent.policies())}
        for name, (_, env_steps) in trainer.stopping.best.items():
            path = checkpoints / f"{name}.pt"
            try:
                self.restore(agent, checkpoint.load(path, self.device), path)
            except UserError as error:
                print(f"left out of result.json: {name}: {error}", file=sys.stderr)
                continue
            if env_steps not in reports:
                reports[env_steps] = evaluator.full(agent.policies())
            best[name] = {"env_steps": env_steps, "policies": reports[env_steps]}
        path = checkpoints / "last.pt"
        self.restore(agent, checkpoint.load(path, self.device), path)
        return {
            "env": self.choice.env,
            "agent": self.choice.agent,
            "seed": self.settings.seed,
            "env_steps": progress.env_steps,
            "train_seconds": round(progress.train_seconds, 3),
            "labelled_episodes": progress.labelled_episodes,
            "sees_everything": agent.sees_everything,
            "deployed": agent.deployed,
            "policies": reports[progress.env_steps],
            "references": evaluator.references(),
        } | best

    def _episodes(self, horizon: int, policies: int) -> dict[str, Any]:
        """Say how many episodes to play, lest evaluation outlast training where an environment is slow.

        A play takes at most a tenth of the run's steps, and so does a whole learning curve, unless these would be too
        few episodes to say anything.
        """
        tenth, most = self.settings.steps // (10 * horizon), self.settings.episodes
        plays = max(self.settings.evaluations, 1) * policies
        return {"episodes": min(most, max(tenth, 100)), "curve_episodes": min(most, max(tenth // plays, 20))}

    @property
    def names(self) -> list[str]:
        """The names of environment and agent, as a checkpoint holds them."""
        return [self.choice.env, self.choice.agent]

    @property
    def _seeds(self) -> list[int]:
        """Independent seeds for the environment, the agent, the evaluation and the choice of a checkpoint."""
        return np.random.SeedSequence(self.settings.seed).generate_state(4).tolist()
