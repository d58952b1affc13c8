"""A world under other rewards: which of its outcomes are good is for a deployment to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


class RewardOverride(VecEnvWrapper):
    """A world in which some outcomes are worth 1 and all others -1; nothing else changes."""

    def __init__(self, env: VecEnv, good: Sequence[str]) -> None:
        """Wrap `env`.

        Raises:
            ValueError: if an outcome in `good` is none of the world's, or there is none.
        """
        super().__init__(env)
        self.spec = _with_good(env.spec, good)
        self._rewards = torch.tensor((0.0, *self.spec.outcome_rewards), device=env.device)

    def step(self, actions: Tensor) -> Step:
        """Step, and reward what was reached."""
        step = self.env.step(actions)
        # Rewards on the way are the world's own; what an end is worth is for the deployment.
        reward = torch.where(step.terminated, self._rewards[step.outcome], step.reward)
        return step._replace(reward=reward)

    def model(self) -> TabularMDP | None:
        """Return the tables with other rewards."""
        model = self.env.model()
        return None if model is None else replace(model, reward=self._rewards[model.outcome])


def _with_good(spec: EnvSpec, good: Sequence[str]) -> EnvSpec:
    """Return a spec in which the outcomes named are the good ones."""
    known = ", ".join(spec.outcomes)
    if not good:
        raise ValueError(f"no outcome is good: {known}: name one or more of them.")
    for name in good:
        if name not in spec.outcomes:
            raise ValueError(f"{name!r} is none of the outcomes {known}: name one or more of them.")
    rewards = tuple(1.0 if name in good else -1.0 for name in spec.outcomes)
    first = next(name for name in spec.outcomes if name in good)
    target = spec.target if spec.target in good else first
    return replace(spec, outcome_rewards=rewards, target=target)
