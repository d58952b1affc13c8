"""Any Gymnasium environment as one of ours: `--env FrozenLake-v1`, `--env package.module:Id-v0`, `--env file.py`.

The truth about an episode is its outcome, worth 1 if it is the good one and -1 if not; the environment's own reward
only decides, where nothing else does, which outcome it was. Who is overseen is drawn by `oversight.py`.
"""

from __future__ import annotations

import importlib
from functools import partial
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray
from torch import Tensor

from routed_rl import gym_spaces
from routed_rl.config import UserError
from routed_rl.env import NOTHING, EnvSpec, Model, Scene, Step
from routed_rl.gym_copies import Config, limit_of, vectorise
from routed_rl.loading import load_module
from routed_rl.oversight import EpisodeOversight


def as_module(registered: Registered) -> ModuleType:
    """Return what `envs/NAME.py` would be for an environment: a module with `Config` and `make`."""
    made = ModuleType(registered.id, f"{registered.id}, of Gymnasium.")
    vars(made).update(Config=Config, make=partial(make, registered))
    return made


def find(name: str) -> Registered | None:
    """Find an environment by what was given as --env.

    Args:
        name: a registered id; WHERE:NAME, an id that a module or file registers or a class in it; or a file with one
            environment class in it.

    Returns:
        How Gymnasium makes it; None if there is none of this name.
    """
    importlib.import_module("minigrid")  # registers its ids

    where, _, member = name.rpartition(":")
    loaded = load_module(where or name) if where or name.endswith(".py") else None
    if member in gym.registry:
        return gym.spec(member)
    if loaded is None:
        return None
    classes = {key: value for key, value in vars(loaded).items() if _is_env(value)}
    if where:
        chosen = classes.get(member)
    else:
        own = [value for value in classes.values() if value.__module__ == loaded.__name__]
        if len(own) != 1:
            raise UserError(f"{name} has {len(own)} environment classes: choose one, as in {name}:NAME.")
        chosen = own[0]
    if chosen is None:
        return None
    vectors = issubclass(chosen, VectorEnv)
    return Registered(f"{chosen.__name__}-v0", **{"vector_entry_point" if vectors else "entry_point": chosen})


def ids() -> list[str]:
    """List the registered ids."""
    return list(gym.registry)


def make(registered: Registered, config: Config, num_envs: int, *, seed: int, device: torch.device) -> GymEnv:
    """Make `num_envs` copies of a Gymnasium environment."""
    return GymEnv(registered, config, num_envs, seed=seed, device=device)


class GymEnv:
    """B copies of a Gymnasium environment, stepped on the processor with NumPy."""

    def __init__(
        self, registered: Registered, config: Config, num_envs: int, *, seed: int, device: torch.device
    ) -> None:
        """Make them; `seed` decides their starts, chance and oversight."""
        self.config, self.num_envs, self.device = config, num_envs, torch.device(device)
        self._name, self._vec = registered.id, vectorise(registered, config, num_envs)
        self._encoder = gym_spaces.observations(self._vec.single_observation_space)
        self._actions = gym_spaces.actions(self._vec.single_action_space)
        channels, *rest = self._encoder.shape
        self.spec = EnvSpec(
            obs_shape=(channels + config.show_oversight, *rest),
            num_actions=self._actions.num_actions,
            outcomes=config.outcomes,
            target=config.outcomes[0],
            outcome_rewards=(1.0, *[-1.0] * (len(config.outcomes) - 1)),
            discount=config.discount,
            horizon=config.horizon or limit_of(registered, self._vec),
            oversight_plane=channels if config.show_oversight else None,
            continuous=self._actions.continuous,
            image=self._encoder.image,
            obs_range=(min(self._encoder.span[0], 0.0), max(self._encoder.span[1], 1.0)),
        )
        generator = torch.Generator().manual_seed(seed)
        self._oversight = EpisodeOversight(config.overseer, num_envs, len(config.outcomes), generator)
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards))
        self._resets_itself = self._vec.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self._seed: int | None = seed
        self._age = np.zeros(num_envs, dtype=np.int64)
        self._filming, self._frames = False, None

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, *obs_shape)."""
        obs, _ = self._vec.reset(seed=self._seed)
        self._seed = None  # the next episodes go on from where chance stands
        self._age[:] = 0
        self._oversight.renew(torch.ones(self.num_envs, dtype=torch.bool))
        return self._show(self._encoder.encode(obs))

    def step(self, actions: Tensor) -> Step:
        """Take one action in each environment; an ended one starts anew in the same step."""
        obs, reward, terminated, truncated, infos = self._vec.step(self._actions.decode(actions.cpu().numpy()))
        truncated = self._cut_off(terminated | truncated) | truncated
        shown = self._encoder.encode(obs)
        if self._resets_itself:
            infos, final = infos.get("final_info", {}), self._final(shown, infos, terminated | truncated)
        else:
            final = shown
        outcome = self._outcome(reward, terminated, infos)
        terminated = outcome != NOTHING  # an outcome ends an episode, whether or not the environment would go on
        truncated = truncated & ~terminated
        self._age[terminated | truncated] = 0
        if self._filming:
            self._frames = self._vec.render()
        if not self._resets_itself and (terminated | truncated).any():
            obs, _ = self._vec.reset(options={"reset_mask": terminated | truncated})
            shown = self._encoder.encode(obs)

        ended, ran_out, reached = map(torch.from_numpy, (terminated, truncated, outcome))
        overseen, reported = self._oversight.see(reached)
        final_obs = self._show(final)
        self._oversight.renew(ended | ran_out)
        rest = (self._rewards[reached], ended, ran_out, reached, overseen, reported)
        return Step(self._show(shown), final_obs, *(x.to(self.device) for x in rest))

    def model(self) -> Model | None:
        """Return None: nobody can list the states of somebody else's environment."""
        return None

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment, or with `final` what its last action led to, (H, W, 3) uint8; None if it cannot be."""
        if mode != "rgb_array" or self._vec.render_mode != mode:
            return None
        self._filming = True  # from now on the last frames are kept: after a reset they cannot be drawn any more
        frames = self._frames if final else self._vec.render()
        assert frames is not None
        return np.asarray(frames[index])

    def scenes(self) -> list[Scene]:
        """Return none: where the cells of a board are, nobody knows."""
        return []

    def state_dict(self) -> None:
        """Return None: a Gymnasium environment cannot be saved, so a resumed run begins new episodes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""

    def _cut_off(self, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Count a step, and say which episodes have reached the horizon and did not end, (B,).

        Raises:
            UserError: if there are any in environments that start new episodes only when they want to.
        """
        self._age += 1
        late = (self._age >= self.spec.horizon) & ~ended
        if self._resets_itself and late.any():
            raise UserError(
                f"an episode of {self._name} went on for {self.spec.horizon} steps: let it truncate its episodes then, "
                "or let its autoreset_mode be DISABLED; --env.horizon gives it more steps."
            )
        return late

    def _show(self, encoded: gym_spaces.Array) -> Tensor:
        """Turn an encoded batch into observations, with the oversight if it is shown."""
        obs = torch.from_numpy(encoded)
        return (self._oversight.show(obs) if self.config.show_oversight else obs).to(self.device)

    def _final(self, shown: gym_spaces.Array, infos: dict[str, Any], done: NDArray[np.bool_]) -> gym_spaces.Array:
        """Put the last frames of ended episodes where a vector environment that resets itself shows first ones."""
        rows = np.flatnonzero(done)
        if not len(rows):
            return shown
        space, final = self._vec.single_observation_space, shown.copy()
        last = [infos["final_obs"][i] for i in rows]
        final[rows] = self._encoder.encode(concatenate(space, last, create_empty_array(space, len(rows))))
        return final

    def _outcome(self, reward: NDArray[Any], terminated: NDArray[np.bool_], infos: dict[str, Any]) -> NDArray[np.int64]:
        """Return the outcome of each step, (B,).

        Raises:
            UserError: if an outcome has an unknown name, or an episode ended without one.
        """
        outcome = np.zeros(self.num_envs, dtype=np.int64)
        if "outcome" in infos:
            for i in np.flatnonzero(infos.get("_outcome", np.ones(self.num_envs))):
                outcome[i] = self._number(infos["outcome"][i])
        silent = terminated & (outcome == NOTHING)
        if silent.any():
            if self.config.outcome_fn is not None or len(self.config.outcomes) != 2:
                named = self.config.outcome_fn or "info['outcome']"
                raise UserError(
                    f"an episode of {self._name} terminated and {named} named no outcome: "
                    f"let it name one of {', '.join(self.config.outcomes)}."
                )
            outcome[silent] = np.where(reward[silent] > 0, 1, 2)
        return outcome

    def _number(self, name: Any) -> int:
        """Return the number of an outcome, or NOTHING for None."""
        if name is not None and name not in self.config.outcomes:
            raise UserError(
                f"{self._name} named the outcome {name!r}, which is not one of {', '.join(self.config.outcomes)}: "
                "give all names, the good one first, with --env.outcomes."
            )
        return NOTHING if name is None else 1 + self.config.outcomes.index(name)


def _is_env(value: Any) -> bool:
    """Whether something is a class of environments."""
    return isinstance(value, type) and issubclass(value, gym.Env | VectorEnv)
