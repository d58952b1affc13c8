"""One learner for every method: PPO or REINFORCE over a routed forward.

Each sample has one route, so the paper's sum over groups of (n_r / N) * mean_r(loss) is the plain
mean of a loss computed on a forward whose activations are stopped sample by sample. A method is
then a `TrainingSignal`, four tensors: the reward, the weight of each step, its route, and the
gate's target.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.algorithms.batch import Batch
from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.deduplication import (
    AnswerCache,
    extended_hashes,
    row_hashes,
    shuffled_groups,
)
from routed_rl.algorithms.objective import Metrics, Objective, Outputs
from routed_rl.algorithms.samples import Sampler
from routed_rl.algorithms.signal import RewardScaler, TrainingSignal
from routed_rl.models.build import build_critic, build_policy
from routed_rl.models.distributions import GaussianHead
from routed_rl.models.export import stand_on
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.sparse import Sparse
from routed_rl.rollouts.rollout import Decision, Experience
from routed_rl.utils import ranks
from routed_rl.utils.adam import Adam, clip_grad_norm


class Learner:
    """A policy, its critic and one optimiser."""

    def __init__(
        self,
        spec: PolicySpec,
        config: LearnerConfig,
        *,
        discount: float,
        gate_coefficient: float = 0.0,
        seed: int,
        device: torch.device,
    ) -> None:
        """Build a policy and a critic.

        Args:
            spec: of the policy.
            config: how to learn, on normalised observations or not, and by which activation.
            discount: per step.
            gate_coefficient: of the gate's loss on samples with a gate target.
            seed: decides weights, actions and the order of the samples.
            device: where to compute.
        """
        if config.normalize_obs:
            spec = replace(spec, normalize_obs=True)
        spec = replace(
            spec, activation=config.activation, base=spec.base or config.base is not None
        )
        # Modules draw from the CPU's global generator: whoever uses it finds it as it was.
        # torch.manual_seed would also seed those of GPUs, which costs more than building does.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.policy = build_policy(spec).to(device)
            self.critic = build_critic(spec).to(device)
        if isinstance(self.policy.head, GaussianHead):
            nn.init.constant_(self.policy.head.log_std, config.log_std_init)
        self.config = config
        self.generator = torch.Generator(device).manual_seed(seed)
        torso = self.policy.torso
        self.modules: list[nn.Module] = [*torso.experts.values(), self.policy.head, self.critic]
        if config.base is not None:
            stand_on(self.policy, config.base)
        if torso.gate is not None:
            self.modules.append(torso.gate)
        self._parameters = [list(module.parameters()) for module in self.modules]
        everything = chain.from_iterable(self._parameters)
        self.optimizer = Adam(everything, config.learning_rate, weight_decay=config.weight_decay)
        self._scaler = RewardScaler(discount, device) if config.normalize_reward else None
        self._sampler = Sampler(config, discount, self.policy.preprocess, self.value)
        self._objective = Objective(config, self.policy.distribution, gate_coefficient)
        # A rollout meets many observations again. On a GPU a look-up costs more than it saves.
        self._cache = AnswerCache(self._answer) if device.type == "cpu" else None

    def set_progress(self, progress: float) -> None:
        """Set what is scheduled to what it is when a share of the run's steps is taken.

        Args:
            progress: from 0 to 1.
        """
        if not 0 <= progress <= 1:
            raise ValueError(f"progress is {progress}: give a share of the run, from 0 to 1.")
        self._objective = self._objective._replace(progress=progress)
        self.optimizer.learning_rate = self.config.at(progress).learning_rate

    @torch.no_grad()
    def act(self, obs: Tensor, expert_weights: Tensor | None = None) -> Decision:
        """Sample actions for observations (B, *obs_shape), with expert weights (B, E) if given."""
        visible = self.policy.preprocess(obs)
        obs_hash = None
        if self._cache is None:
            answer = self._answer(visible, expert_weights)
        else:
            obs_hash = row_hashes(visible)
            key = extended_hashes(obs_hash, visible[0].numel(), expert_weights)
            answer = self._cache(key, visible, expert_weights)
        # With more processes each draws for all, so that none draws what another does.
        drawn = self.policy.distribution.sample(ranks.spread(answer[:, :-1]), self.generator)
        action, log_prob = map(ranks.own, drawn)
        value = answer[:, -1]
        return Decision(action, log_prob, value, expert_weights, obs_hash)

    def _answer(self, visible: Tensor, expert_weights: Tensor | None) -> Tensor:
        """Compute the parameters of the action's distribution, and the value: (B, P + 1)."""
        encoded = self.policy.to_sparse(visible)
        logits = self.policy.forward_encoded(encoded, expert_weights=expert_weights)
        return torch.cat((logits.actions, self._value(encoded, expert_weights)), dim=1)

    def update(self, rollout: Experience, signal: TrainingSignal) -> Metrics:
        """Learn from a rollout what a method makes of it; return metrics, averaged over steps."""
        if self._scaler is not None:
            signal = signal._replace(reward=self._scaler(signal.reward, rollout.done))
        metrics: dict[str, list[Tensor]] = defaultdict(list)
        for samples in self._minibatches(self.prepare(rollout, signal)):
            for name, value in self.step(samples).items():
                metrics[name].append(value)
        if self.policy.spec.normalize_obs:
            # Only now: until here each observation looks as it did when it was acted on.
            self.policy.update_statistics(rollout.obs.flatten(0, 1))
            self._forget()
        return {name: torch.stack(values).mean() for name, values in metrics.items()}

    def prepare(self, rollout: Experience, signal: TrainingSignal) -> Batch:
        """Turn a rollout into N = T * B samples with advantages."""
        return self._sampler.samples(rollout, signal)

    def step(self, batch: Batch) -> Metrics:
        """Take one optimiser step: forward, a few means, backward, some inputs at a time."""
        metrics: Metrics = defaultdict(lambda: batch.weight.new_zeros(()))
        self.optimizer.zero_grad()
        # Gradients add up over parts, as the loss does; activations of one part are held at a time.
        for part, share in _own_parts(batch, self.policy.spec.chunk):
            loss, shares = self.loss(part, batch)
            (loss if share == 1 else share * loss).backward()
            for name, value in shares.items():
                metrics[name] = metrics[name] + share * value
        metrics = ranks.add_up(self.optimizer.parameters, metrics)
        for module in self._untrained(batch):
            module.zero_grad(set_to_none=True)
        if self.config.max_grad_norm > 0:
            # Each on its own: what one expert learns must not scale another's step.
            for parameters in self._parameters:
                clip_grad_norm(parameters, self.config.max_grad_norm)
        self.optimizer.step()
        self._forget()
        return metrics

    def loss(self, batch: Batch, whole: Batch | None = None) -> tuple[Tensor, Metrics]:
        """Compute what `batch` adds to the loss of the `whole` that it is a part of.

        Returns:
            A scalar, and metrics; those of all parts add up to those of the whole.
        """
        obs, grad_mask, expert_weights = batch.inputs
        encoded = self.policy.to_sparse(obs)
        logits = self.policy.forward_encoded(encoded, grad_mask, expert_weights)
        values = self._value(encoded, expert_weights).squeeze(1)  # (M, 1) -> (M,)
        outputs = Outputs(logits.actions, values, logits.gate)
        return self._objective(outputs, batch, whole or batch)

    def value(self, obs: Tensor, expert_weights: Tensor | None = None) -> Tensor:
        """Estimate the return to come, (N,).

        Args:
            obs: (N, *obs_shape).
            expert_weights: (N, E) that are acted with.
        """
        return self._value(self.policy.encode(obs), expert_weights).squeeze(1)

    def _value(self, encoded: Tensor | Sparse, expert_weights: Tensor | None) -> Tensor:
        """Ask the critic: (N, 1)."""
        if self.policy.spec.steered:
            return self.critic(encoded, expert_weights)
        return self.critic(encoded)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning goes on from."""
        state = {
            "policy": self.policy.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        return state if self._scaler is None else state | {"scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        self._forget()

    def _forget(self) -> None:
        """Forget what the networks computed before they changed."""
        if self._cache is not None:
            self._cache.forget()

    def _untrained(self, batch: Batch) -> list[nn.Module]:
        """List the experts, and the gate, that no sample of the batch may train.

        They must get no gradient at all: with one of zeros Adam would still move them, by momentum
        and weight decay.
        """
        _, grad_mask, expert_weights = batch.inputs
        if (grad_mask is None and expert_weights is None) or self.policy.spec.conditioned:
            return []
        may = torch.tensor(True) if grad_mask is None else grad_mask  # (M, E + 1)
        if expert_weights is not None:
            # Who has no weight learns nothing, nor does a gate that was not asked.
            asked = expert_weights[:, :1].isnan()
            may = torch.cat((expert_weights != 0, asked), dim=1) & may
        *experts, gate = may.any(dim=0).tolist()  # over M inputs: E + 1 bools
        torso = self.policy.torso
        trained = zip(torso.experts.values(), experts, strict=True)
        idle: list[nn.Module] = [expert for expert, may_learn in trained if not may_learn]
        taught = batch.gate_target is not None and bool((batch.gate_target >= 0).any())
        if torso.gate is not None and not gate and not taught:
            idle.append(torso.gate)
        return idle

    def _minibatches(self, batch: Batch) -> Iterator[Batch]:
        """Yield shuffled minibatches, samples of one input together; for reinforce the whole."""
        if self.config.algorithm == "reinforce":
            yield batch
            return
        for _ in range(self.config.n_epochs):
            # Samples of one input stay together: split over minibatches it would be computed twice.
            order = shuffled_groups(batch.input_index, len(batch.inputs.obs), self.generator)
            for index in order.split(self.config.batch_size):
                yield batch.take(index)


def _own_parts(batch: Batch, most: int) -> Iterator[tuple[Batch, float]]:
    """Yield the parts of a batch that this process goes through, and how much they count.

    None has more than `most` distinct inputs.
    """
    processes = ranks.count()
    if len(batch.inputs.obs) < processes:  # each goes through all of it
        yield batch, 1 / processes
        return
    for part in batch.parts(most, index=ranks.index(), of=processes):
        yield part, 1.0
