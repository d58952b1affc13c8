"""A callback that reads what the overseer reported, and labels each rollout with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from routed_rl.rollouts.labels import label_steps
from routed_rl.sb3.buffer import RoutedRolloutBuffer
from routed_rl.sb3.optimizer import RoutedAdam
from routed_rl.sb3.policy import RoutedActorCriticPolicy
from routed_rl.worlds.outcomes import NOTHING, expert_of


class _Said(NamedTuple):
    """What is known of a step of B environments."""

    done: list[bool]
    truncated: list[bool]
    reported: list[int]  # numbers of outcomes, NOTHING where none was reported


class RoutedCallback(BaseCallback):
    """Labels the steps of each rollout before the policy learns from it.

    The info of a step may have `outcome`: the name of what the overseer says happened in it, be it
    in the middle of an episode or at its end. Without it, with None or "none", or with `overseen`
    false beside it, nothing was reported. A label is about the steps since the last report.
    """

    def _init_callback(self) -> None:
        model: Any = self.model
        _check(model)
        model.policy.obs_normalised.fill_(_normalises_obs(model))
        self._buffer: RoutedRolloutBuffer = model.rollout_buffer
        self._names: tuple[str, ...] = model.policy.outcomes

    def _on_rollout_start(self) -> None:
        self._said: list[_Said] = []

    def _on_step(self) -> bool:
        done: list[bool] = self.locals["dones"].tolist()
        infos: list[dict[str, Any]] = self.locals["infos"]
        truncated = [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        reported = [self._number(info) for info in infos]
        self._said.append(_Said(done, truncated, reported))
        return True

    def _on_rollout_end(self) -> None:
        done, truncated, reported = (
            torch.tensor(column) for column in zip(*self._said, strict=True)
        )  # each (T, B)
        # Of an end without a report it is unknown what happened, unless time ran out: routing asks
        # for no more than whether there is a report.
        known = (reported != NOTHING) | ~done | truncated
        label = label_steps(reported, known, done)
        self._buffer.label(label.numpy())
        self._log(label)

    def _number(self, info: dict[str, Any]) -> int:
        """Return the number of the reported outcome, NOTHING if none was reported."""
        name = info.get("outcome")
        if name in (None, "none") or not info.get("overseen", True):
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
