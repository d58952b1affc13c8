"""What an overseer can infer of unlabelled episodes, by a classifier of labelled last frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.models.networks import Cells, DropChannel, network
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import NOTHING, expert_of
from routed_rl.worlds.spec import EnvSpec


@dataclass(frozen=True)
class OutcomeModelConfig:
    """The classifier's network, its memory, and how it is fitted."""

    hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers."""
    by_cell: bool = False
    """Look at all cells of a board with one network: tens of labels do what else takes hundreds."""
    capacity: int = 8192
    """How many labelled frames are kept; the newest take the place of the oldest."""
    steps: int = 20
    """Optimiser steps for each rollout."""
    batch_size: int = 256
    """Frames an optimiser step."""
    learning_rate: float = 1e-3
    """Step size of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""


class OutcomeModel:
    """Keeps the last frames that were labelled and learns which outcome each shows.

    It never sees the oversight: every frame with a label would have it lit, every other dark.
    """

    def __init__(
        self, spec: EnvSpec, config: OutcomeModelConfig, *, seed: int, device: torch.device
    ) -> None:
        """Build the classifier.

        Args:
            spec: of the world.
            config: of the classifier.
            seed: decides weights and minibatches.
            device: where to compute.
        """
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _classifier(spec, config).to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.generator = torch.Generator(device).manual_seed(seed)
        self.kinds = len(spec.outcomes)
        self.frames = torch.zeros(config.capacity, *spec.obs_shape, device=device)
        self.outcomes = torch.zeros(config.capacity, dtype=torch.int64, device=device)  # k, from 0
        self.seen = 0

    def learn(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Remember what was reported in a rollout, and fit."""
        reported = rollout.reported != NOTHING
        frames = rollout.final_obs[reported]
        outcomes = expert_of(rollout.reported[reported])
        # Before fitting: so it is an error on labels that the model has not seen.
        wrong = (self.probabilities(frames).argmax(dim=1) != outcomes).float().sum()
        self._remember(frames, outcomes)
        loss = self._fit() if self.seen else frames.new_zeros(())
        error = wrong / max(len(outcomes), 1)
        return {"outcome_model/loss": loss, "outcome_model/error_on_new_labels": error}

    def infer(self, rollout: VisibleRollout) -> Tensor:
        """Return the probability of each outcome at every end, (T, B, K).

        A reported outcome is certain; the row is 0 where no episode ended.
        """
        shape = (*rollout.terminated.shape, self.kinds)
        probability = torch.zeros(shape, device=self.frames.device)
        ended = rollout.terminated
        # Only frames at ends are looked at: a few of T * B.
        probability[ended] = self.probabilities(rollout.final_obs[ended])
        known = rollout.reported != NOTHING
        reported = expert_of(rollout.reported[known])
        probability[known] = functional.one_hot(reported, self.kinds).float()
        return probability

    @torch.no_grad()
    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the probability of each outcome for frames (N, *obs_shape): (N, K)."""
        return self.network(frames).softmax(dim=1)

    def _remember(self, frames: Tensor, outcomes: Tensor) -> None:
        """Write labelled frames into the ring, in parts that fit into it."""
        capacity = len(self.frames)
        parts = zip(frames.split(capacity), outcomes.split(capacity), strict=True)
        for frame, outcome in parts:
            numbers = torch.arange(len(outcome), device=outcome.device)
            place = (self.seen + numbers) % capacity  # the newest over the oldest
            self.frames[place] = frame
            self.outcomes[place] = outcome
            self.seen += len(outcome)

    def _fit(self) -> Tensor:
        """Take some optimiser steps on what is remembered; return the mean loss."""
        kept = min(self.seen, len(self.frames))  # before the ring is full, its rest holds zeros
        losses = []
        for _ in range(self.config.steps):
            index = torch.randint(
                kept,
                (self.config.batch_size,),
                generator=self.generator,
                device=self.frames.device,
            )
            loss = functional.cross_entropy(self.network(self.frames[index]), self.outcomes[index])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting goes on from."""
        # Copies: a slice would bring the whole ring along into a checkpoint.
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "frames": self.frames[: self.seen].clone(),
            "outcomes": self.outcomes[: self.seen].clone(),
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        kept = len(state["outcomes"])
        self.frames[:kept] = state["frames"]
        self.outcomes[:kept] = state["outcomes"]
        self.seen = state["seen"]


def _classifier(spec: EnvSpec, config: OutcomeModelConfig) -> nn.Sequential:
    """Build what maps frames (N, *obs_shape) to logits of outcomes (N, K)."""
    channels, *rest = spec.obs_shape  # of (D,) numbers each is a channel
    kinds = len(spec.outcomes)
    drop: nn.Module = nn.Identity()
    if spec.oversight_channel is not None:
        drop = DropChannel(channels, spec.oversight_channel)
        channels -= 1
    if config.by_cell and rest and not spec.image:
        return nn.Sequential(drop, Cells(channels, config.hidden, kinds))
    inner = network((channels, *rest), config.hidden, kinds, image=spec.image)
    return nn.Sequential(drop, inner)
