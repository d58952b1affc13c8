"""From a rollout, and what a method makes of it, to samples to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from routed_rl.algorithms.advantages import Transitions, advantages, normalised
from routed_rl.algorithms.batch import Batch, Inputs
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.deduplication import extended_hashes, row_hashes, unique_rows
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts.rollout import Experience

ValueFunction = Callable[[Tensor, Tensor | None], Tensor]
"""Observations (N, *obs_shape) and the expert weights (N, E) they are acted on with -> (N,)."""


@dataclass(frozen=True)
class Sampler:
    """Turns rollouts into batches."""

    config: LearnerConfig
    discount: float
    preprocess: Callable[[Tensor], Tensor]
    """What the policy sees of observations (N, *obs_shape)."""
    value: ValueFunction

    @torch.no_grad()
    def samples(self, rollout: Experience, signal: TrainingSignal) -> Batch:
        """Turn a rollout into N = T * B samples with advantages."""
        ppo = self.config.algorithm == "ppo"
        transitions = Transitions(
            reward=signal.reward,
            value=rollout.value,
            next_value=self._next_value(rollout),
            terminated=rollout.terminated,
            done=rollout.done,
        )
        gae_lambda = self.config.gae_lambda if ppo else 1.0
        advantage, value_target = advantages(
            transitions, discount=self.discount, gae_lambda=gae_lambda
        )
        weight = torch.ones_like(signal.reward) if signal.weight is None else signal.weight
        if ppo:
            advantage = normalised(advantage, weight)
        inputs, input_index = self._distinct_inputs(rollout, signal.grad_mask)
        return Batch(
            inputs=inputs,
            input_index=input_index,
            action=rollout.action.flatten(0, 1),
            log_prob=rollout.log_prob.flatten(),
            advantage=advantage.flatten(),
            value_target=value_target.flatten(),
            weight=weight.flatten(),
            gate_target=None if signal.gate_target is None else signal.gate_target.flatten(),
            gate_weight=None if signal.gate_weight is None else signal.gate_weight.flatten(),
        )

    def _next_value(self, rollout: Experience) -> Tensor:
        """Return the value of what each step led to, (T, B), before any reset."""
        weights = rollout.expert_weights
        # (B,) what follows the rollout; the critic said the rest when it acted.
        last = self.value(rollout.last_obs, None if weights is None else weights[-1])
        next_value = torch.cat((rollout.value[1:], last[None]))
        # An episode that ran out of time would have gone on: its last frame has a value of its own.
        cut = rollout.truncated
        cut_weights = None if weights is None else weights[cut]
        next_value[cut] = self.value(rollout.final_obs[cut], cut_weights)
        if not self.config.bootstrap:
            next_value[-1] = 0.0
            next_value[cut] = 0.0
        return next_value

    def _distinct_inputs(
        self, rollout: Experience, grad_mask: Tensor | None
    ) -> tuple[Inputs, Tensor]:
        """Return the M distinct inputs of a rollout, and which of them each sample has, (N,)."""
        obs = rollout.obs.flatten(0, 1)  # (N, *obs_shape)
        mask = None if grad_mask is None else grad_mask.flatten(0, 1)
        weights = None if rollout.expert_weights is None else rollout.expert_weights.flatten(0, 1)
        if rollout.obs_hash is None:
            hashes = row_hashes(self.preprocess(obs))
        else:
            hashes = rollout.obs_hash.flatten()  # computed in acting, over what the policy saw
        width = self.preprocess(obs[:1]).numel()
        rows, input_index = unique_rows(extended_hashes(hashes, width, mask, weights))
        inputs = Inputs(obs, mask, weights).take(rows)
        # Only now: M rows are preprocessed, and not N, nor once more in each optimiser step.
        return inputs._replace(obs=self.preprocess(inputs.obs)), input_index
