"""What a method makes of a rollout: all in which one method differs from another."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TrainingSignal(NamedTuple):
    """The reward, the weight of each step, its route, and the gate's target."""

    reward: Tensor  # (T, B) what to maximise, without NaN
    weight: Tensor | None = None  # (T, B) how much each step counts; 1 unless given
    grad_mask: Tensor | None = None  # (T, B, E + 1) bool, what each step trains; all unless given
    gate_target: Tensor | None = None  # (T, B) int64, the expert to choose, below 0 where unknown
