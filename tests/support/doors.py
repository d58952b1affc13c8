"""Four doors, of which an episode takes one: a diamond, a ghost, a skull, and nothing behind it.

Everything about a policy is four probabilities, so what it does can be told by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from routed_rl.models.build import build_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.oversight import Oversight
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv

DIAMOND, GHOST, SKULL, IDLE = range(4)
OUTCOMES = ("diamond", "ghost", "skull")
OUTCOME = torch.tensor([1, 2, 3, NOTHING])
"""Of each door."""
WORTH = torch.tensor([0.0, 1.0, -1.0, -1.0])
"""Of each outcome, nothing first."""


class Doors(VecEnv):
    """B rooms of four doors."""

    def __init__(self, num_envs: int, overseer: Oversight) -> None:
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        self.spec = EnvSpec(
            obs_shape=(1,),
            num_actions=4,
            outcomes=OUTCOMES,
            target="diamond",
            outcome_rewards=(1.0, -1.0, -1.0),
            discount=1.0,
            horizon=1,
            outcomes_end=True,
        )
        self._overseer = overseer
        self._generator = torch.Generator().manual_seed(0)

    def reset(self) -> Tensor:
        return torch.ones(self.num_envs, 1)

    def step(self, actions: Tensor) -> Step:
        outcome = OUTCOME[actions]
        draws = torch.rand(self.num_envs, 3, generator=self._generator)
        noise = torch.rand(self.num_envs, 2, generator=self._generator)
        overseen, reported = self._overseer.see(outcome, self._overseer.draw(draws), noise)
        return Step(
            obs=self.reset(),
            final_obs=self.reset(),
            reward=(outcome != NOTHING).float(),
            true_reward=WORTH[outcome],
            terminated=outcome != NOTHING,
            truncated=outcome == NOTHING,
            outcome=outcome,
            overseen=overseen,
            reported=reported,
        )

    def model(self) -> TabularMDP:
        """List the one state."""
        one = torch.ones(1, dtype=torch.float64)
        return TabularMDP(
            next_state=torch.zeros(1, 4, dtype=torch.int64),
            outcome=OUTCOME[None],
            terminates=OUTCOME[None] != NOTHING,
            reward=(OUTCOME[None] != NOTHING).float(),
            true_reward=WORTH[OUTCOME][None],
            start_probability=one,
            condition_probability=one,
            overseen_ends=torch.zeros(1, 3, dtype=torch.bool),
            observe=lambda states: torch.ones(len(states), 1),
        )


def mixture(experts: dict[str, Sequence[float]]) -> Policy:
    """Make a mixture whose logits are the weighted sum of the experts' four numbers, 0 or above."""
    policy = build_policy(PolicySpec((1,), 4, tuple(experts), (4,)))
    with torch.no_grad():
        for name, logits in experts.items():
            weight, bias = policy.torso.experts[name].parameters()
            weight.zero_()
            bias.copy_(torch.tensor(logits))
        weight, bias = policy.head.parameters()
        weight.copy_(torch.eye(4))
        bias.zero_()
    return policy
