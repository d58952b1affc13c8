"""A run's parts, as its settings say: the environment, the agent, and what evaluates it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from routed_rl.algorithms.agent import Agent
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.rollouts.attribution import attribute_errors
from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.training import checkpoints
from routed_rl.training.settings import RunConfig
from routed_rl.utils import ranks
from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import short_name
from routed_rl.worlds.config import at_oversight, without_budget
from routed_rl.worlds.reward_override import RewardOverride
from routed_rl.worlds.vec_env import VecEnv


class Setup:
    """Makes the parts of a run; nothing is made yet."""

    def __init__(self, config: RunConfig, env: ModuleType, agent: ModuleType) -> None:
        """Take the settings, and the modules that their names mean."""
        self.config = config
        self.device = to_device(config.settings.device)
        self._env_module = env
        self._agent_module = agent
        # Independent seeds, so that evaluating more often changes nothing in training.
        seeds = np.random.SeedSequence(config.settings.seed).generate_state(4).tolist()
        self.env_seed, self._agent_seed, self._evaluation_seed, self.selection_seed = seeds
        if ranks.index():  # each process has episodes of its own
            own = np.random.SeedSequence((self.env_seed, ranks.index()))
            (self.env_seed,) = own.generate_state(1).tolist()

    @property
    def names(self) -> list[str]:
        """The names of environment and agent, as a checkpoint holds them."""
        return [self.config.names.env_title, self.config.names.agent]

    def make_env(
        self,
        num_envs: int,
        *,
        seed: int,
        oversight: float | None = None,
        good: Sequence[str] = (),
    ) -> VecEnv:
        """Make the environment, at another oversight and with other good outcomes if given."""
        try:
            env_config = at_oversight(self.config.env, oversight)
        except ValueError as error:
            raise UserError(str(error)) from None
        return self._make(env_config, num_envs, seed, good)

    def _make(self, env_config: Any, num_envs: int, seed: int, good: Sequence[str]) -> VecEnv:
        """Make the environment, under other rewards if some outcomes are named good."""
        with attribute_errors(f"environment {self.config.names.env_title}", self._env_module):
            env = self._env_module.make(env_config, num_envs, seed=seed, device=self.device)
        good = good or self.config.settings.good
        try:
            return RewardOverride(env, good) if good else env
        except ValueError as error:
            raise UserError(f"good: {error}") from None

    def make_agent(self, env: VecEnv) -> Agent[Any]:
        """Make the agent."""
        with attribute_errors(f"agent {self.config.names.agent}", self._agent_module):
            return self._agent_module.Agent(
                env.spec, self.config.agent, seed=self._agent_seed, device=self.device
            )

    def make_evaluator(
        self, *, oversight: float | None = None, good: Sequence[str] = (), **kwargs: Any
    ) -> Evaluator:
        """Make what evaluates the agent's policies, with labels without end.

        Args:
            oversight: to evaluate at; the one trained with unless given.
            good: outcomes that are worth 1, all others -1; as in training unless given.
            kwargs: for `Evaluator`.
        """
        config = without_budget(self.config.env)
        usual = oversight
        who = f"{self.config.names.env_title} in evaluation"

        def make_env(num_envs: int, *, oversight: float | None = None) -> VecEnv:
            there = usual if oversight is None else oversight
            try:
                env_config = at_oversight(config, there)
            except ValueError as error:
                raise UserError(str(error)) from None
            return CheckedWorld(self._make(env_config, num_envs, self._evaluation_seed, good), who)

        kwargs = {"episodes": self.config.settings.episodes} | kwargs
        return Evaluator(make_env, seed=self._evaluation_seed, **kwargs)

    def restore(self, agent: Agent[Any], state: Mapping[str, Any], path: Path) -> None:
        """Load a checkpoint's agent.

        Raises:
            UserError: if the checkpoint is of another agent or another shape of it.
        """
        # An older checkpoint has the path of an environment's file, as it was given then.
        with checkpoints.fitting(path):
            names = [short_name(name) for name in state["names"]]
        if names != self.names:
            was = " and ".join(state["names"])
            now = " and ".join(self.names)
            raise UserError(
                f"{path} was saved by {was}, this run is of {now}: "
                "put the file that belongs here back."
            )
        with checkpoints.fitting(path):
            agent.load_state_dict(state["agent"])


def to_device(name: str) -> torch.device:
    """Return the device of a name.

    Raises:
        UserError: if it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        # torchrun gives each process of a machine a GPU of its own.
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(
            f"there is no device {name!r} here: use auto, cpu, or install a torch build for it."
        ) from None
    return device
