"""Outcomes for Gymnasium's CliffWalking, in which a fall costs 100 but ends nothing.

A fall sends the walker back to the start. Here that is bad.

python train.py --env CliffWalking-v1 --env.outcome-fn examples/cliff.py:outcome --env.horizon 100
"""

from __future__ import annotations

from typing import Any


def outcome(
    obs: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
) -> str | None:
    """Call the goal good and a fall bad."""
    if terminated:
        return "good"
    if reward == -100:
        return "bad"
    return None
