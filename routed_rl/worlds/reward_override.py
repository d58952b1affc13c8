"""A world under other rewards: which of its outcomes are good is for a deployment to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


class RewardOverride(VecEnvWrapper):
    """A world in which other outcomes are good; nothing else changes.

    A good one is worth 1 where outcomes end episodes, and elsewhere nothing beside what the world
    pays. Any other is worth -1.
    """

    def __init__(self, env: VecEnv, good: Sequence[str]) -> None:
        """Wrap `env`.

        Raises:
            ValueError: if an outcome in `good` is none of the world's, or there is none.
        """
        super().__init__(env)
        self.spec = _with_good(env.spec, good)
        values = torch.tensor((env.spec.outcome_rewards, self.spec.outcome_rewards))  # (2, K)
        # (K + 1,): nothing that happens is worth what it was.
        self._change = functional.pad(values[1] - values[0], (1, 0)).to(env.device)

    def step(self, actions: Tensor) -> Step:
        """Step, and let what happened be worth what the deployment says."""
        step = self.env.step(actions)
        return step._replace(true_reward=step.true_reward + self._change[step.outcome])

    def model(self) -> TabularMDP | None:
        """Return the tables with other true rewards."""
        model = self.env.model()
        if model is None:
            return None
        return replace(model, true_reward=model.true_reward + self._change[model.outcome])


def _with_good(spec: EnvSpec, good: Sequence[str]) -> EnvSpec:
    """Return a spec in which the outcomes named are the good ones."""
    known = ", ".join(spec.outcomes)
    if not good:
        raise ValueError(f"no outcome is good: {known}: name one or more of them.")
    for name in good:
        if name not in spec.outcomes:
            raise ValueError(f"{name!r} is none of the outcomes {known}: name one or more of them.")
    # Where outcomes end episodes a good one is all that is wanted; elsewhere the world pays too.
    worth = 1.0 if spec.outcomes_end else 0.0
    rewards = tuple(worth if name in good else -1.0 for name in spec.outcomes)
    first = next(name for name in spec.outcomes if name in good)
    target = spec.target if spec.target in good else first
    return replace(spec, outcome_rewards=rewards, target=target)
