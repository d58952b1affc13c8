"""Running statistics, and observations normalised by them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOST_DEVIATIONS = 10.0
"""Normalised numbers are clipped to this on either side of 0."""
EPSILON = 1e-8
"""Added to a variance, so that what never changes is not divided by 0."""
_ROWS = 4096
"""So many rows at a time are held in double precision."""


class RunningMoments(nn.Module):
    """The mean and the variance of all rows so far, in double precision.

    Before the first row they are 0 and 1.
    """

    mean: Tensor  # (*shape)
    variance: Tensor  # (*shape)
    count: Tensor  # () how many rows there were

    def __init__(self, shape: Sequence[int]) -> None:
        """Begin without rows; one is of `shape`."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(tuple(shape), dtype=torch.float64))
        self.register_buffer("variance", torch.ones(tuple(shape), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @property
    def deviation(self) -> Tensor:
        """The standard deviation, (*shape), above 0."""
        return (self.variance + EPSILON).sqrt()

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Add rows (N, *shape).

        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979): of two sets with means m and n, the sum of squares is the sum of both
        and (n - m)^2 times the product of their sizes over the sum.
        """
        for part in rows.split(_ROWS):
            variance, mean = torch.var_mean(part.double(), dim=0, correction=0)
            share = len(part) / (self.count + len(part))  # of the new rows among all
            change = mean - self.mean
            self.variance += share * (variance - self.variance + (1 - share) * change.square())
            self.mean += share * change
            self.count += len(part)


class Normaliser(nn.Module):
    """Shifts and scales what is seen by its running mean and deviation, and clips it.

    A picture is normalised by channel, all else number by number. So does VecNormalize of
    Stable-Baselines3, which leaves pictures alone; there the statistics change in each step, here
    only when `update` is called.
    """

    def __init__(
        self,
        before: nn.Module,
        shape: Sequence[int],
        *,
        image: bool = False,
        untouched: int | None = None,
    ) -> None:
        """Normalise what a module gives.

        Args:
            before: the module.
            shape: of what it gives for one observation, (D,) or (C, ...).
            image: whether that is a picture (C, H, W).
            untouched: a channel, or of (D,) a number, that is left as it is.
        """
        super().__init__()
        self.before = before
        self.moments = RunningMoments(shape[:1] if image else shape)
        self._image = image
        self._untouched = untouched

    def forward(self, obs: Tensor) -> Tensor:
        """Normalise observations (N, *obs_shape): (N, *shape)."""
        seen = self.before(obs)
        mean = self.moments.mean.to(seen.dtype)
        deviation = self.moments.deviation.to(seen.dtype)
        if self._image:
            mean = mean[:, None, None]  # (C, 1, 1)
            deviation = deviation[:, None, None]
        return ((seen - mean) / deviation).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    @torch.no_grad()
    def update(self, obs: Tensor) -> None:
        """Let observations (N, *obs_shape) change the statistics."""
        seen = self.before(obs)
        # Each pixel is a row of C numbers.
        rows = seen.movedim(1, -1).flatten(0, -2) if self._image else seen
        self.moments.update(rows)
        if self._untouched is not None:
            # The deviation is then 1 to the last bit of a float: nothing is changed.
            self.moments.mean[self._untouched] = 0.0
            self.moments.variance[self._untouched] = 1.0
