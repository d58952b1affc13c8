"""What an optimiser step minimises: the sum of the policy's, the critic's and the gate's losses."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from routed_rl.algorithms import losses
from routed_rl.algorithms.batch import Batch, rows_of
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.models.distributions import Distribution

Metrics = dict[str, Tensor]
"""group/name -> scalar."""


class Outputs(NamedTuple):
    """What the networks computed for M distinct inputs."""

    actions: Tensor  # (M, P) parameters of the actions' distribution
    values: Tensor  # (M,) the critic's estimates
    gate: Tensor | None  # (M, E) the gate's logits; None without a gate


class Objective(NamedTuple):
    """The policy's loss, the critic's and the gate's, weighted by their coefficients."""

    config: LearnerConfig
    distribution: Distribution
    gate_coefficient: float
    progress: float = 0.0
    """The share of the run's steps, from 0 to 1, that is taken."""

    def __call__(self, outputs: Outputs, batch: Batch, whole: Batch) -> tuple[Tensor, Metrics]:
        """Compute what `batch` adds to the loss of the `whole` that it is a part of.

        The loss is made of means over samples, so those of all parts add up to that of the whole.

        Returns:
            A scalar, and metrics that add up likewise.
        """
        # From M distinct inputs to N samples.
        actions = rows_of(outputs.actions, batch.input_index)
        values = rows_of(outputs.values, batch.input_index)
        log_prob = self.distribution.log_prob(actions, batch.action)
        policy = self._policy_loss(log_prob, batch)
        value = losses.value_loss(values, batch.value_target, batch.weight)
        entropy = losses.entropy_bonus(self.distribution.entropy(actions), batch.weight)
        log_ratio = (log_prob - batch.log_prob).detach()
        means = {
            "train/policy_loss": policy,
            "train/value_loss": value,
            "train/entropy": entropy,
            # Schulman's low-variance estimate, E[r - 1 - log r] with the ratio r.
            "train/kl": (log_ratio.exp() - 1 - log_ratio).mean(),
        }
        share = len(batch.input_index) / len(whole.input_index)  # n / N
        metrics = {name: share * mean.detach() for name, mean in means.items()}
        ent_coef = self.config.at(self.progress).ent_coef
        loss = share * (policy + self.config.vf_coef * value - ent_coef * entropy)
        if outputs.gate is not None and batch.gate_target is not None:
            gate, gate_metrics = _gate_loss(rows_of(outputs.gate, batch.input_index), batch, whole)
            loss = loss + self.gate_coefficient * gate
            metrics |= gate_metrics
        return loss, metrics

    def _policy_loss(self, log_prob: Tensor, batch: Batch) -> Tensor:
        """Compute the loss of the algorithm from log-probabilities (N,)."""
        if self.config.algorithm == "reinforce":
            return losses.policy_gradient_loss(log_prob, batch.advantage, batch.weight)
        clip_range = self.config.at(self.progress).clip_range
        return losses.clipped_policy_loss(
            log_prob, batch.log_prob, batch.advantage, batch.weight, clip_range
        )


def _gate_loss(logits: Tensor, batch: Batch, whole: Batch) -> tuple[Tensor, Metrics]:
    """Compute what a part of a batch adds to the gate's loss, from its logits (N, E)."""
    assert batch.gate_target is not None and whole.gate_target is not None
    known = batch.gate_target >= 0  # (N,)
    # The mean is over samples with a target, so a part's share is that of its targets.
    targets = (whole.gate_target >= 0).sum().clamp(min=1)
    share = known.sum() / targets
    loss = share * losses.gate_loss(logits, batch.gate_target, known, batch.gate_weight)
    right = (logits.argmax(dim=1) == batch.gate_target) & known
    return loss, {"gate/loss": loss.detach(), "gate/accuracy": right.sum() / targets}
