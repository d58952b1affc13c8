"""A callback that reads what the overseer reported, and labels each rollout with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from routed_rl.env import NOTHING
from routed_rl.labels import Label, label_ends, spread

from .buffer import RoutedRolloutBuffer
from .optimizer import RoutedAdam
from .policy import RoutedActorCriticPolicy


class _Ends(NamedTuple):
    """What the infos of B environments say of episodes that ended."""

    done: list[bool]
    truncated: list[bool]
    reported: list[int]  # 0: nothing


class RoutedCallback(BaseCallback):
    """Labels the steps of each rollout before the policy learns from it.

    Where an episode ends, its info may have `outcome`: the name of what the overseer says was reached. Without it,
    or with `overseen` false beside it, the episode is one of which nothing is known but that it ended. An episode
    that was truncated reached nothing.
    """

    def _init_callback(self) -> None:
        model: Any = self.model
        if not isinstance(model.policy, RoutedActorCriticPolicy):
            raise ValueError(f"the policy is a {type(model.policy).__name__}: use RoutedActorCriticPolicy.")
        if not isinstance(model.rollout_buffer, RoutedRolloutBuffer):
            raise ValueError(
                f"the buffer is a {type(model.rollout_buffer).__name__}: pass rollout_buffer_class=RoutedRolloutBuffer."
            )
        if not isinstance(model.policy.optimizer, RoutedAdam):
            raise ValueError(
                f"the optimizer is {type(model.policy.optimizer).__name__}, which moves experts that nothing trained: "
                "leave optimizer_class alone, and pass use_rms_prop=False to A2C."
            )
        if model.max_grad_norm < math.inf:
            raise ValueError(
                f"max_grad_norm is {model.max_grad_norm}, which lets one expert's gradient scale another's: "
                "pass max_grad_norm=math.inf. RoutedAdam clips each on its own."
            )
        self._buffer, self._names = model.rollout_buffer, model.policy.outcomes

    def _on_rollout_start(self) -> None:
        self._ends: list[_Ends] = []

    def _on_step(self) -> bool:
        done, infos = self.locals["dones"].tolist(), self.locals["infos"]
        truncated = [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        reported = [
            self._number(info) if over and not cut else NOTHING
            for over, cut, info in zip(done, truncated, infos, strict=True)
        ]
        self._ends.append(_Ends(done, truncated, reported))
        return True

    def _on_rollout_end(self) -> None:
        done, truncated, reported = (torch.tensor(column) for column in zip(*self._ends, strict=True))
        label = spread(label_ends(reported != NOTHING, reported, truncated), done)
        self._buffer.label(label.numpy())
        self._log(label)

    def _number(self, info: dict[str, Any]) -> int:
        """Return the number of the reported outcome, 0 if nothing was reported."""
        name = info.get("outcome")
        if name is None or not info.get("overseen", True):
            return NOTHING
        if name not in self._names:
            raise ValueError(f"info['outcome'] is {name!r}: it must be one of {self._names}, the policy's outcomes.")
        return self._names.index(name) + 1

    def _log(self, label: Tensor) -> None:
        """Log which share of the steps trained each expert alone."""
        for k, name in enumerate(self._names):
            self.logger.record(f"routing/{name}", float((label == Label.KNOWN + k).float().mean()))
