"""A callback that reads what the overseer reported, and labels each rollout with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from routed_rl.rollouts.labels import label_ends, label_segments
from routed_rl.sb3.buffer import RoutedRolloutBuffer
from routed_rl.sb3.optimizer import RoutedAdam
from routed_rl.sb3.policy import RoutedActorCriticPolicy
from routed_rl.worlds.outcomes import NOTHING, expert_of


class _Ends(NamedTuple):
    """What the infos of B environments say of episodes that ended."""

    done: list[bool]
    truncated: list[bool]
    reported: list[int]  # numbers of outcomes, NOTHING where none was reported


class RoutedCallback(BaseCallback):
    """Labels the steps of each rollout before the policy learns from it.

    Where an episode ends, its info may have `outcome`: the name of what the overseer says was
    reached. Without it, or with `overseen` false beside it, all that is known is that the episode
    ended. An episode that was truncated reached nothing.
    """

    def _init_callback(self) -> None:
        model: Any = self.model
        _check(model)
        model.policy.obs_normalised.fill_(_normalises_obs(model))
        self._buffer: RoutedRolloutBuffer = model.rollout_buffer
        self._names: tuple[str, ...] = model.policy.outcomes

    def _on_rollout_start(self) -> None:
        self._ends: list[_Ends] = []

    def _on_step(self) -> bool:
        done: list[bool] = self.locals["dones"].tolist()
        infos: list[dict[str, Any]] = self.locals["infos"]
        truncated = [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        # Only ends have an outcome; what a truncated episode's info names was not reached.
        reported = [NOTHING] * len(infos)
        for i, info in enumerate(infos):
            if done[i] and not truncated[i]:
                reported[i] = self._number(info)
        self._ends.append(_Ends(done, truncated, reported))
        return True

    def _on_rollout_end(self) -> None:
        done, truncated, reported = (
            torch.tensor(column) for column in zip(*self._ends, strict=True)
        )  # each (T, B)
        # Here "overseen" is "reported": the truth about other ends does not come this way.
        end_label = label_ends(reported != NOTHING, reported, truncated)
        label = label_segments(end_label, done)
        self._buffer.label(label.numpy())
        self._log(label)

    def _number(self, info: dict[str, Any]) -> int:
        """Return the number of the reported outcome, NOTHING if none was reported."""
        name = info.get("outcome")
        if name is None or not info.get("overseen", True):
            return NOTHING
        if name not in self._names:
            raise ValueError(
                f"info['outcome'] is {name!r}: "
                f"it must be one of {self._names}, the policy's outcomes."
            )
        return self._names.index(name) + 1

    def _log(self, label: Tensor) -> None:
        """Log the share of steps that train each expert alone, from labels (T, B)."""
        expert = expert_of(label)
        for k, name in enumerate(self._names):
            self.logger.record(f"routing/{name}", float((expert == k).float().mean()))


def _normalises_obs(model: Any) -> bool:
    """Return whether observations are normalised by statistics that only a wrapper holds."""
    whole = model.get_vec_normalize_env()
    if whole is not None and whole.norm_obs:
        return True
    return any(model.get_env().env_is_wrapped(NormalizeObservation))


def _check(model: Any) -> None:
    """Raise ValueError unless an algorithm has the parts that routing needs."""
    if not isinstance(model.policy, RoutedActorCriticPolicy):
        raise ValueError(
            f"the policy is a {type(model.policy).__name__}: use RoutedActorCriticPolicy."
        )
    if not isinstance(model.rollout_buffer, RoutedRolloutBuffer):
        raise ValueError(
            f"the buffer is a {type(model.rollout_buffer).__name__}: "
            "pass rollout_buffer_class=RoutedRolloutBuffer."
        )
    if not isinstance(model.policy.optimizer, RoutedAdam):
        raise ValueError(
            f"the optimizer is {type(model.policy.optimizer).__name__}, "
            "which moves experts that nothing trained: "
            "leave optimizer_class alone, and pass use_rms_prop=False to A2C."
        )
    if model.max_grad_norm < math.inf:
        raise ValueError(
            f"max_grad_norm is {model.max_grad_norm}, "
            "which lets one expert's gradient scale another's: "
            "pass max_grad_norm=math.inf. RoutedAdam clips each on its own."
        )
