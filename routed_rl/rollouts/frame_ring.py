"""Frames that are kept to learn from, the newest over the oldest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class FrameRing:
    """Frames and what each shows, the newest over the oldest."""

    def __init__(self, capacity: int, frame_shape: Sequence[int], device: torch.device) -> None:
        """Make room for `capacity` frames."""
        self.frames = torch.zeros(capacity, *frame_shape, device=device)
        self.outcomes = torch.zeros(capacity, dtype=torch.int64, device=device)  # k, from 0
        self.seen = 0

    @property
    def kept(self) -> int:
        """How many frames there are: before the ring is full, its rest holds zeros."""
        return min(self.seen, len(self.frames))

    def write(self, frames: Tensor, outcomes: Tensor) -> None:
        """Write frames (N, *frame_shape) and outcomes (N,) into the ring, in parts that fit."""
        capacity = len(self.frames)
        parts = zip(frames.split(capacity), outcomes.split(capacity), strict=True)
        for frame, outcome in parts:
            numbers = torch.arange(len(outcome), device=outcome.device)
            place = (self.seen + numbers) % capacity
            self.frames[place] = frame
            self.outcomes[place] = outcome
            self.seen += len(outcome)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw frames (count, *frame_shape) and what they show (count,)."""
        index = torch.randint(self.kept, (count,), generator=generator, device=self.frames.device)
        return self.frames[index], self.outcomes[index]

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept."""
        # Copies: a slice would bring the whole ring along into a checkpoint.
        return {
            "frames": self.frames[: self.seen].clone(),
            "outcomes": self.outcomes[: self.seen].clone(),
            "seen": self.seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        kept = len(state["outcomes"])
        self.frames[:kept] = state["frames"]
        self.outcomes[:kept] = state["outcomes"]
        self.seen = state["seen"]
