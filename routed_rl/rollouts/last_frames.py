"""The last frames of episodes, over the borders of rollouts: a short look at a trajectory.

A frame is what was acted on, or what the last action led to. An episode may have begun in an
earlier rollout, so what a rollout ended with is carried over to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Experience


class _Past(NamedTuple):
    """What came before a rollout, and the observation that it begins with."""

    frames: Tensor  # (N - 1, B, *obs_shape), time first; the last is what is acted on first
    lengths: Tensor  # (B,) int64, how many of those before the last belong to the running episode


class LastFrames:
    """Looks up the last N frames at steps of a rollout, zeros where the episode had not begun."""

    def __init__(self, count: int) -> None:
        """Look at `count` frames, N: what the step led to, and the N - 1 that came before."""
        self.count = count
        self._past: _Past | None = None  # before the rollout that `follow` was told of last
        self._next: _Past | None = None  # before the one that comes after it

    def follow(self, rollout: Experience) -> None:
        """Go on to a rollout; to be told of each, once, in their order."""
        if self.count == 1:
            return
        before = self.count - 1
        self._past = past = _fitting(self._next, rollout, before)
        ages = _ages(rollout, past)[-1]
        self._next = _Past(
            # The first observation is the last of the past.
            frames=torch.cat((past.frames[:-1], rollout.obs[-before:], rollout.last_obs[None]))[
                -before:
            ],
            lengths=torch.where(rollout.done[-1], 0, ages),
        )

    def at(self, rollout: Experience, steps: tuple[Tensor, ...]) -> Tensor:
        """Return the frames at n steps, (n, N * C, ...): the oldest first, side by side.

        Args:
            rollout: the one that `follow` was told of last; of another the past is not known.
            steps: (n,) times and (n,) environments, as `mask.nonzero(as_tuple=True)` gives them.
        """
        newest = rollout.final_obs[steps]
        if self.count == 1:
            return newest
        past = _fitting(self._past, rollout, self.count - 1)
        ages = _ages(rollout, past)[steps]
        frames = [newest]
        for back in range(self.count - 1):
            frame = _observed(rollout, past, steps, back)
            begun = (ages > back).view(-1, *[1] * (frame.dim() - 1))
            frames.insert(0, torch.where(begun, frame, 0))
        return torch.cat(frames, dim=1)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next rollout begins with; nothing where one frame is looked at."""
        return {} if self._next is None else self._next._asdict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._next = _Past(**state) if state else None


def _fitting(past: _Past | None, rollout: Experience, before: int) -> _Past:
    """Return the past if the rollout goes on from it, else one in which nothing had begun.

    Steps may lie between two rollouts that are not learnt from, and a resumed run may begin anew.
    """
    first = rollout.obs[:1]
    if past is not None and torch.equal(past.frames[-1:], first):
        return past
    unknown = first.new_zeros(before - 1, *first.shape[1:])
    lengths = torch.zeros(first.shape[1], dtype=torch.int64, device=first.device)
    return _Past(torch.cat((unknown, first)), lengths)


def _ages(rollout: Experience, past: _Past) -> Tensor:
    """Count the observations of its episode up to the one that each step acted on, (T, B)."""
    steps = len(rollout.obs)
    time = torch.arange(steps, device=rollout.obs.device)[:, None]
    # When the episode before ended: a running one did so before the rollout.
    ended = torch.where(rollout.done, time, -1 - past.lengths)
    first = (-1 - past.lengths)[None]
    return time - torch.cat((first, ended[:-1])).cummax(dim=0).values


def _observed(rollout: Experience, past: _Past, steps: tuple[Tensor, ...], back: int) -> Tensor:
    """Return what was acted on so many steps before each of n steps, (n, *obs_shape)."""
    time, env = steps
    time = time - back
    earliest = 1 - len(past.frames)
    inside = rollout.obs[time.clamp(min=0), env]
    # Time 0 is the last frame of the past. What lies before the first had not begun or is not kept.
    outside = past.frames[(time.clamp(max=0) - earliest).clamp(min=0), env]
    return torch.where((time >= 0).view(-1, *[1] * (inside.dim() - 1)), inside, outside)
