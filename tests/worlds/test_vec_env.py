from __future__ import annotations

import pytest
import torch
from torch import Tensor

from routed_rl.worlds.vec_env import Step, VecEnv


class Least(VecEnv):
    """No more than a world must have."""

    def reset(self) -> Tensor:
        return torch.zeros(1, 1)

    def step(self, actions: Tensor) -> Step:
        raise NotImplementedError


def test_what_is_optional_says_that_there_is_none() -> None:
    env = Least()
    assert env.model() is None
    assert env.render(mode="ansi") is None
    assert env.scenes() == []
    assert env.state_dict() is None
    assert env.reseed(640) is False
    with pytest.raises(ValueError, match="Least has no state"):
        env.load_state_dict({})


def test_a_world_without_step_cannot_be_made() -> None:
    class NoStep(VecEnv):
        def reset(self) -> Tensor:
            return torch.zeros(1, 1)

    with pytest.raises(TypeError, match="step"):
        NoStep()  # type: ignore[abstract]
