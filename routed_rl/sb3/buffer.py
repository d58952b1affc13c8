"""A rollout buffer that hands labels to the policy, through a training loop that knows nothing of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor


class RoutedObs(NamedTuple):
    """Observations, and what the overseer knows of the episodes they are from."""

    obs: Tensor  # (N, *obs_shape)
    label: Tensor  # (N,) int64, see `labels.Label`


class RoutedRolloutBuffer(RolloutBuffer):
    """Holds T steps of B environments; its samples' observations are `RoutedObs`."""

    _labels: NDArray[np.int64] | None

    def __init__(self, buffer_size: int, observation_space: spaces.Space[Any], *args: Any, **settings: Any) -> None:
        """Make an empty buffer; its arguments are those of `RolloutBuffer`, its observations anything but a Dict."""
        if isinstance(observation_space, spaces.Dict):
            raise ValueError("observations are a Dict: flatten them with gymnasium.wrappers.FlattenObservation.")
        super().__init__(buffer_size, observation_space, *args, **settings)

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        self._labels = None

    def label(self, labels: NDArray[np.int64]) -> None:
        """Say what is known of each step's episode, (T, B) int64; `RoutedCallback` does, when a rollout is complete."""
        self._labels = self.swap_and_flatten(labels).squeeze(1)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield shuffled minibatches."""
        if self._labels is None:
            raise ValueError("the rollout has no labels: pass callback=RoutedCallback() to learn().")
        yield from super().get(batch_size)

    def _get_samples(self, batch_inds: NDArray[np.int64], env: Any = None) -> RolloutBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        assert self._labels is not None
        routed: Any = RoutedObs(samples.observations, self.to_torch(self._labels[batch_inds]))
        return samples._replace(observations=routed)
