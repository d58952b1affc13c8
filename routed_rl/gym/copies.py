"""Copies of a Gymnasium environment that all start new episodes in one way, when they are asked to.

Some vector environments reset what ended in the same step, and some wait for a call. Here both
first return what an action led to, and then what to act on next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from routed_rl.gym import spaces
from routed_rl.gym.config import Config
from routed_rl.gym.encoders import Array
from routed_rl.gym.vectors import copy_of, let_draw, limit_of, say_once, vectorise


class StepResult(NamedTuple):
    """What B copies return for B actions."""

    final: Array  # (B, *shape) what each action led to, before any reset
    reward: NDArray[Any]  # (B,) the environment's own
    terminated: NDArray[np.bool_]  # (B,)
    truncated: NDArray[np.bool_]  # (B,)
    infos: Mapping[str, Any]  # of steps, as Gymnasium's vectors give them
    final_infos: Mapping[str, Any] | None  # of steps that ended an episode; None: they are in infos

    def said(self, name: str) -> NDArray[Any] | None:
        """Return what the infos hold under a name, (B,), None where nothing; None if nowhere."""
        ended = self.terminated | self.truncated
        sources = [(self.infos, np.ones_like(ended))]
        if self.final_infos is not None:
            # Copies that reset themselves: where one ended, infos are those of the next episode.
            sources = [(self.infos, ~ended), (self.final_infos, ended)]
        if not any(name in infos for infos, _ in sources):
            return None
        found = np.full(len(self.reward), None, dtype=object)
        for infos, rows in sources:
            if name in infos:
                # The mask beside it says whose info has it; without a mask all have.
                given = rows & infos.get(f"_{name}", True)
                found[given] = np.asarray(infos[name], dtype=object)[given]
        return found


class Copies:
    """B copies with encoded observations."""

    def __init__(self, registered: Registered, config: Config, num_envs: int) -> None:
        """Make them."""
        self.limit = limit_of(registered, config)
        """Steps after which an episode is cut off."""
        self._vec = vectorise(registered, config, num_envs, self.limit)
        space = self._vec.single_observation_space
        self.encoder = spaces.observations(space, copy_of(self._vec))
        for note in self.encoder.notes:
            say_once(f"{registered.id}: {note}")
        self.actions = spaces.actions(self._vec.single_action_space)
        self.reset_themselves = self._vec.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self._shown: Array  # (B, *shape) the last observations, encoded
        self._filming = False
        self._frames: Any = None

    def reset(self, seed: int | None) -> Array:
        """Start new episodes everywhere, from new generators if there is a seed: (B, *shape)."""
        obs, _ = self._vec.reset(seed=seed)
        self._shown = self.encoder.encode(obs)
        return self._shown

    def step(self, actions: NDArray[Any]) -> StepResult:
        """Take the actions of a policy, (B,) or (B, num_actions); `renew` has to follow."""
        decoded = self.actions.decode(actions)
        obs, reward, terminated, truncated, infos = self._vec.step(decoded)
        self._shown = self.encoder.encode(obs)
        final = self._shown
        final_infos: Mapping[str, Any] | None = None
        if self.reset_themselves:
            # What is shown, and its info, are those of the next episode where one ended.
            final = self._final(infos, terminated | truncated)
            final_infos = infos.get("final_info", {})
        return StepResult(final, reward, terminated, truncated, infos, final_infos)

    def renew(self, done: NDArray[np.bool_]) -> Array:
        """Start new episodes where `done` (B,), and return what to act on next: (B, *shape)."""
        if self._filming:
            self._frames = self._vec.render()
        if not self.reset_themselves and done.any():
            obs, _ = self._vec.reset(options={"reset_mask": done})
            self._shown = self.encoder.encode(obs)
        return self._shown

    def render(self, index: int, mode: str, *, final: bool) -> NDArray[np.uint8] | None:
        """Draw a copy, or with `final` what its last action led to, (H, W, 3), if that can be."""
        if mode != "rgb_array" or not let_draw(self._vec, mode):
            return None
        # From now on last frames are kept: after a reset they cannot be drawn any more.
        self._filming = True
        try:
            frames = self._frames if final else self._vec.render()
        except NotImplementedError:  # its metadata has the mode, and nothing draws
            return None
        assert frames is not None
        frame = frames[index]
        return None if frame is None else np.asarray(frame)

    def _final(self, infos: Mapping[str, Any], done: NDArray[np.bool_]) -> Array:
        """Return what is shown, last frames in the place of the first ones that follow them."""
        rows = np.flatnonzero(done)
        if not len(rows):
            return self._shown
        space = self._vec.single_observation_space
        last = [infos["final_obs"][i] for i in rows]
        batch = concatenate(space, last, create_empty_array(space, len(rows)))
        final = self._shown.copy()
        final[rows] = self.encoder.encode(batch)
        return final
