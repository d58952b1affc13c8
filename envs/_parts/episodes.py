"""What the worlds of this folder share: one generator, ages, and how episodes are saved."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from routed_rl.worlds.vec_env import VecEnv


class Episodes(VecEnv):
    """A world whose running episodes are tensors, and whose every draw comes from one generator."""

    STATE: ClassVar[tuple[str, ...]]
    """Names of the tensors that change, without their leading underscore."""
    _age: Tensor  # (B,) int64, steps taken in the running episodes

    def __init__(self, num_envs: int, *, seed: int, device: torch.device) -> None:
        """Prepare what every world has; `reset` is for the subclass to call."""
        self.num_envs = num_envs
        self.device = torch.device(device)
        # Its own generator: nothing that is drawn elsewhere changes the episodes.
        self._generator = torch.Generator(self.device).manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes and the generator's state."""
        episodes = {name: getattr(self, f"_{name}") for name in self.STATE}
        return episodes | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the episodes of a `state_dict`."""
        self._generator.set_state(state["generator"].cpu())
        for name in self.STATE:
            setattr(self, f"_{name}", state[name].to(self.device))

    def _uniform(self, *columns: int) -> Tensor:
        """Draw (B, *columns) from [0, 1)."""
        shape = (self.num_envs, *columns)
        return torch.rand(shape, generator=self._generator, device=self.device)

    def _zero_ages(self) -> Tensor:
        """Return the ages of B new episodes, (B,) int64."""
        return torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
