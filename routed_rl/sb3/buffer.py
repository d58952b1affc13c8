"""A rollout buffer that hands labels to the policy.

The training loop between them knows nothing of labels. It hands on whatever the buffer calls an
observation, so the labels travel inside.
"""

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
    label: Tensor  # (N,) int64, see `outcomes.Label`


class RoutedRolloutBuffer(RolloutBuffer):
    """Holds T steps of B environments; its samples' observations are `RoutedObs`."""

    _labels: NDArray[np.int64] | None  # (B * T,), the steps of each environment in a row

    def __init__(
        self, buffer_size: int, observation_space: spaces.Space[Any], *args: Any, **settings: Any
    ) -> None:
        """Make an empty buffer.

        Args:
            buffer_size: T.
            observation_space: of single observations; anything but a Dict.
            args: whatever else `RolloutBuffer` takes.
            settings: likewise.
        """
        if isinstance(observation_space, spaces.Dict):
            raise ValueError(
                "observations are a Dict: flatten them with gymnasium.wrappers.FlattenObservation."
            )
        super().__init__(buffer_size, observation_space, *args, **settings)

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        # None until a rollout is complete: only then is it known how its episodes ended.
        self._labels = None

    def label(self, labels: NDArray[np.int64]) -> None:
        """Set what is known of each step's episode, (T, B) int64.

        `RoutedCallback` does, when a rollout is complete.
        """
        # As the parent flattens its own arrays when it begins to sample: (T, B) -> (B * T, 1).
        self._labels = self.swap_and_flatten(labels).squeeze(1)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield shuffled minibatches."""
        if self._labels is None:
            raise ValueError(
                "the rollout has no labels: pass callback=RoutedCallback() to learn()."
            )
        yield from super().get(batch_size)

    def _get_samples(self, batch_inds: NDArray[np.int64], env: Any = None) -> RolloutBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        assert self._labels is not None
        # The parent's type says that observations are a tensor; the loop does not look at them.
        routed: Any = RoutedObs(samples.observations, self.to_torch(self._labels[batch_inds]))
        return samples._replace(observations=routed)
