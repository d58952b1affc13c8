"""What the worlds of this folder have in common: how their running episodes are saved."""

from __future__ import annotations

from typing import Any, ClassVar

import torch


class Episodes:
    """A world whose running episodes are tensors, and whose every draw comes from one generator."""

    STATE: ClassVar[tuple[str, ...]]
    """Names of the tensors that change, without their leading underscore."""
    device: torch.device
    _generator: torch.Generator

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes and the generator's state."""
        return {name: getattr(self, f"_{name}") for name in self.STATE} | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the episodes of a `state_dict`."""
        self._generator.set_state(state["generator"].cpu())
        for name in self.STATE:
            setattr(self, f"_{name}", state[name].to(self.device))
