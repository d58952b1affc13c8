"""One learner for every method: PPO or REINFORCE over a routed forward.

Each sample has one route, so the paper's sum over groups of (n_r / N) * mean_r(loss) is the plain mean
of a loss computed on a forward whose activations are stopped sample by sample. A method is then a `Lesson`,
four tensors: the reward, the weight of each step, its route, and the gate's label.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from routed_rl import losses
from routed_rl.batch import Batch, Inputs
from routed_rl.grouping import Memo, fingerprints, representatives, shuffled
from routed_rl.policy import CHUNK, Blueprint
from routed_rl.rewards import advantages, normalised
from routed_rl.rollout import Decision, Rollout
from routed_rl.sparse import Sparse


@dataclass(frozen=True)
class LearnerConfig:
    """How a policy learns from a rollout; every agent's flags begin with these."""

    algorithm: Literal["ppo", "reinforce"] = "ppo"
    """ppo: several clipped steps a rollout. reinforce: one step, as in the paper."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    rollout_steps: int = 64
    """Steps taken in each environment between updates."""
    epochs: int = 2
    """Passes over a rollout (ppo)."""
    minibatch: int = 2048
    """Samples an optimiser step (ppo)."""
    clip: float = 0.2
    """How far the ratio of probabilities may go from 1 (ppo)."""
    trace: float = 0.95
    """Lambda of generalised advantage estimation; reinforce always uses 1, the plain return."""
    bootstrap: bool = True
    """Let the critic stand for what follows where a rollout ends or time runs out; without, nothing follows."""
    entropy: float = 0.02
    """Coefficient of the entropy bonus."""
    value: float = 0.5
    """Coefficient of the critic's loss."""
    max_grad_norm: float = 0.5
    """Largest gradient norm of each module (expert, gate, head, critic); 0 for no clipping."""
    weight_decay: float = 0.0
    """Weight decay of Adam."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of each expert, the gate and the critic."""
    hide_oversight: bool = False
    """Deny the agent the plane that shows which ends are overseen."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "rollout_steps", "epochs", "minibatch", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}: it must be a number above 0.")
        for name in ("entropy", "value", "max_grad_norm", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}: it must be a number, 0 or above.")
        if not 0 <= self.trace <= 1:
            raise ValueError(f"trace is {self.trace}: give a number from 0 to 1.")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden is {self.hidden}: give at least one width above 0.")


class Lesson(NamedTuple):
    """What a method makes of a rollout: all in which one method differs from another."""

    reward: Tensor  # (T, B) what to maximise, without NaN
    weight: Tensor | None = None  # (T, B) how much each step counts; 1 unless given
    keep: Tensor | None = None  # (T, B, E + 1) bool, the modules that each step trains; all unless given
    expert: Tensor | None = None  # (T, B) int64, the expert that the gate should choose, below 0 where unknown


class Learner:
    """A policy, its critic and one optimiser."""

    def __init__(
        self,
        blueprint: Blueprint,
        config: LearnerConfig,
        *,
        discount: float,
        gate_coefficient: float = 0.0,
        seed: int,
        device: torch.device,
    ) -> None:
        """Build a policy and a critic; `seed` decides their weights, the actions and the order of the samples."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy, self.critic = blueprint.build().to(device), blueprint.build_critic().to(device)
        self.config, self.discount, self.gate_coefficient = config, discount, gate_coefficient
        self.steered = blueprint.steered
        self.generator = torch.Generator(device).manual_seed(seed)
        torso = self.policy.torso
        self.modules: list[nn.Module] = [*torso.experts.values(), self.policy.head, self.critic]
        if torso.gate is not None:
            self.modules.append(torso.gate)
        parameters = [parameter for module in self.modules for parameter in module.parameters()]
        self.optimizer = torch.optim.Adam(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        # A rollout meets many observations again. On a GPU to look them up would cost more than to compute them.
        self._memo = Memo(self._answer) if device.type == "cpu" else None

    @torch.no_grad()
    def act(self, obs: Tensor, steer: Tensor | None = None) -> Decision:
        """Sample actions for observations (B, *obs_shape), with expert weights (B, E) if given."""
        answer = (self._memo or self._answer)(self.policy.view(obs), steer)
        action, log_prob = self.policy.distribution.sample(answer[:, :-1], self.generator)
        return Decision(action, log_prob, answer[:, -1], steer)

    def _answer(self, view: Tensor, steer: Tensor | None) -> Tensor:
        """Compute the parameters of the action's distribution, and the value: (B, P + 1)."""
        seen = self.policy.pack(view)
        return torch.cat((self.policy.decide(seen, steer=steer).actions, self._worth(seen, steer)), dim=1)

    def update(self, rollout: Rollout, lesson: Lesson) -> dict[str, Tensor]:
        """Learn from a rollout what a method makes of it; return metrics, averaged over the optimiser steps."""
        metrics: dict[str, list[Tensor]] = defaultdict(list)
        for samples in self._minibatches(self.prepare(rollout, lesson)):
            for name, value in self.step(samples).items():
                metrics[name].append(value)
        return {name: torch.stack(values).mean() for name, values in metrics.items()}

    @torch.no_grad()
    def prepare(self, rollout: Rollout, lesson: Lesson) -> Batch:
        """Turn a rollout into N = T * B samples with advantages."""
        config = self.config
        cut = rollout.truncated  # an episode that ran out of time would have gone on: its last frame has a value
        last_steer, cut_steer = (None, None) if rollout.steer is None else (rollout.steer[-1], rollout.steer[cut])
        next_value = torch.cat((rollout.value[1:], self.value(rollout.last_obs, last_steer)[None]))
        next_value[cut] = self.value(rollout.final_obs[cut], cut_steer)
        if not config.bootstrap:
            next_value[-1] = next_value[cut] = 0.0
        trace = config.trace if config.algorithm == "ppo" else 1.0
        advantage, target = advantages(
            lesson.reward, rollout.value, next_value, rollout.terminated, rollout.done, self.discount, trace
        )
        weight = torch.ones_like(lesson.reward) if lesson.weight is None else lesson.weight
        if config.algorithm == "ppo":
            advantage = normalised(advantage, weight)
        obs = rollout.obs.flatten(0, 1)
        some = (lesson.keep, rollout.steer, lesson.expert)
        keep, steer, expert = (None if x is None else x.flatten(0, 1) for x in some)
        rows, which = representatives(fingerprints(self.policy.view(obs), keep, steer))
        return Batch(
            Inputs(obs, keep, steer).take(rows),
            which,
            rollout.action.flatten(0, 1),
            rollout.log_prob.flatten(),
            advantage.flatten(),
            target.flatten(),
            weight.flatten(),
            expert,
        )

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Take one optimiser step: a routed forward, a few means and a backward, some inputs at a time."""
        metrics: dict[str, Tensor] = defaultdict(lambda: batch.weight.new_zeros(()))
        self.optimizer.zero_grad(set_to_none=True)
        for part in batch.parts(CHUNK):
            loss, shares = self.loss(part, batch)
            loss.backward()
            for name, share in shares.items():
                metrics[name] = metrics[name] + share
        for module in self._untrained(batch):
            module.zero_grad(set_to_none=True)
        if self.config.max_grad_norm > 0:
            for module in self.modules:  # each on its own: what one expert learns must not scale another's step
                nn.utils.clip_grad_norm_(module.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self._forget()
        return metrics

    def loss(self, batch: Batch, whole: Batch | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute what `batch` adds to the loss of the `whole` that it is a part of: a scalar, and metrics likewise.

        The loss is made of means over samples, so those of all parts add up to that of the whole.
        """
        config, whole = self.config, whole or batch
        obs, keep, steer = batch.inputs
        seen = self.policy.see(obs)
        answer, worth = self.policy.decide(seen, keep, steer), self._worth(seen, steer).squeeze(1)
        actions, predicted = answer.actions[batch.which], worth[batch.which]
        log_prob = self.policy.distribution.log_prob(actions, batch.action)
        if config.algorithm == "ppo":
            policy = losses.clipped_policy_loss(log_prob, batch.log_prob, batch.advantage, batch.weight, config.clip)
        else:
            policy = losses.policy_gradient_loss(log_prob, batch.advantage, batch.weight)
        value = losses.value_loss(predicted, batch.target, batch.weight)
        entropy = losses.entropy_bonus(self.policy.distribution.entropy(actions), batch.weight)
        log_ratio = (log_prob - batch.log_prob).detach()
        kl = (log_ratio.exp() - 1 - log_ratio).mean()  # Schulman's low-variance estimate
        share = len(batch.which) / len(whole.which)
        loss = share * (policy + config.value * value - config.entropy * entropy)
        means = {"train/policy_loss": policy, "train/value_loss": value, "train/entropy": entropy, "train/kl": kl}
        metrics = {name: share * x.detach() for name, x in means.items()}
        if batch.expert is not None and whole.expert is not None and answer.gate is not None:
            known, gate_logits = batch.expert >= 0, answer.gate[batch.which]
            labelled = known.sum().clamp(min=1) / (whole.expert >= 0).sum().clamp(min=1)
            gate = labelled * losses.gate_loss(gate_logits, batch.expert, known)
            loss = loss + self.gate_coefficient * gate
            right = ((gate_logits.argmax(dim=1) == batch.expert) & known).sum() / known.sum().clamp(min=1)
            metrics |= {"gate/loss": gate.detach(), "gate/accuracy": labelled * right}
        return loss, metrics

    def _forget(self) -> None:
        """Forget what the networks answered before they changed."""
        if self._memo is not None:
            self._memo.forget()

    def value(self, obs: Tensor, steer: Tensor | None = None) -> Tensor:
        """Estimate the return to come of observations (N, *obs_shape), acted on with weights (N, E): (N,)."""
        return self._worth(self.policy.see(obs), steer).squeeze(1)

    def _worth(self, seen: Tensor | Sparse, steer: Tensor | None) -> Tensor:
        """Ask the critic about what is seen: (N, 1)."""
        return self.critic(seen, steer) if self.steered else self.critic(seen)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning goes on from."""
        return {
            "policy": self.policy.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self._forget()

    def _untrained(self, batch: Batch) -> list[nn.Module]:
        """List the experts, and the gate, that no sample of the batch may train.

        They must get no gradient at all: with one of zeros Adam would still move them, by momentum and weight decay.
        """
        _, keep, steer = batch.inputs
        if (keep is None and steer is None) or self.policy.blueprint.told:
            return []
        may: Tensor | bool = True if keep is None else keep
        if steer is not None:  # who is silent learns nothing, nor does a gate that was not asked
            may = torch.cat((steer != 0, steer[:, :1].isnan()), dim=1) & may
        assert isinstance(may, Tensor)
        *experts, gate = may.any(dim=0).tolist()
        torso = self.policy.torso
        idle: list[nn.Module] = [e for e, trained in zip(torso.experts.values(), experts, strict=True) if not trained]
        if torso.gate is not None and not gate and (batch.expert is None or not bool((batch.expert >= 0).any())):
            idle.append(torso.gate)
        return idle

    def _minibatches(self, batch: Batch) -> Iterator[Batch]:
        """Yield shuffled minibatches, or the whole batch once for reinforce; samples of one input stay together."""
        if self.config.algorithm == "reinforce":
            yield batch
            return
        for _ in range(self.config.epochs):
            for index in shuffled(batch.which, self.generator).split(self.config.minibatch):
                yield batch.take(index)
