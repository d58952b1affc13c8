"""What a method makes of a rollout: all in which one method differs from another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.models.normalisation import MOST_DEVIATIONS, RunningMoments


class TrainingSignal(NamedTuple):
    """The reward, the weight of each step, its route, and the gate's target and its weight."""

    reward: Tensor  # (T, B) what to maximise, without NaN
    weight: Tensor | None = None  # (T, B) how much each step counts; 1 unless given
    grad_mask: Tensor | None = None  # (T, B, E + 1) bool, what each step trains; all unless given
    gate_target: Tensor | None = None  # (T, B) int64, the expert to choose, below 0 where unknown
    gate_weight: Tensor | None = None  # (T, B) how much each target counts; 1 unless given


class RewardScaler:
    """Divides rewards by the running deviation of the discounted return, and clips them.

    As NormalizeReward of Gymnasium and VecNormalize of Stable-Baselines3 do, where the return of a
    step is the discounted sum of the rewards before it in its episode and its own. There the
    deviation changes in each step, here once a rollout.
    """

    def __init__(self, discount: float, device: torch.device) -> None:
        """Begin without any reward; `discount` is per step."""
        self._discount = discount
        self._moments = RunningMoments(()).to(device)
        self._running = torch.zeros(0, device=device)  # (B,) returns of the running episodes

    @torch.no_grad()
    def __call__(self, reward: Tensor, done: Tensor) -> Tensor:
        """Scale the rewards of a rollout, both (T, B), by all rewards so far, its own included."""
        if len(self._running) != reward.shape[1]:
            self._running = torch.zeros_like(reward[0])
        returns = torch.empty_like(reward)
        for t in range(len(reward)):
            returns[t] = self._discount * self._running + reward[t]
            self._running = returns[t] * ~done[t]  # an episode begins with nothing
        self._moments.update(returns.flatten())
        scaled = reward / self._moments.deviation.to(reward.dtype)
        return scaled.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    def state_dict(self) -> dict[str, Any]:
        """Return all that scaling goes on from."""
        return {"moments": self._moments.state_dict(), "running": self._running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._moments.load_state_dict(state["moments"])
        self._running = state["running"]
