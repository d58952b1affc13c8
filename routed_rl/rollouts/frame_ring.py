"""Frames that are kept to learn from, the newest over the oldest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class FrameRing:
    """Frames and a number for each, such as the outcome that it shows."""

    def __init__(
        self,
        capacity: int,
        frame_shape: Sequence[int],
        device: torch.device,
        dtype: torch.dtype = torch.int64,
    ) -> None:
        """Make room for `capacity` frames, and for their numbers of this type."""
        self.frames = torch.zeros(capacity, *frame_shape, device=device)
        self._numbers = torch.zeros(capacity, dtype=dtype, device=device)
        self.seen = 0

    @property
    def kept(self) -> int:
        """How many frames there are: before the ring is full, its rest holds zeros."""
        return min(self.seen, len(self.frames))

    @property
    def numbers(self) -> Tensor:
        """The number of each frame that is kept, (kept,)."""
        return self._numbers[: self.kept]

    def write(self, frames: Tensor, numbers: Tensor) -> None:
        """Write frames (N, *frame_shape) and numbers (N,) into the ring, in parts that fit."""
        capacity = len(self.frames)
        parts = zip(frames.split(capacity), numbers.split(capacity), strict=True)
        for frame, number in parts:
            place = (self.seen + torch.arange(len(number), device=number.device)) % capacity
            self.frames[place] = frame
            self._numbers[place] = number
            self.seen += len(number)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw frames (count, *frame_shape) and their numbers (count,)."""
        index = torch.randint(self.kept, (count,), generator=generator, device=self.frames.device)
        return self.frames[index], self._numbers[index]

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept."""
        # Copies: a slice would bring the whole ring along into a checkpoint.
        return {
            "frames": self.frames[: self.kept].clone(),
            "outcomes": self.numbers.clone(),
            "seen": self.seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        kept = len(state["outcomes"])
        self.frames[:kept] = state["frames"]
        self._numbers[:kept] = state["outcomes"]
        self.seen = state["seen"]
