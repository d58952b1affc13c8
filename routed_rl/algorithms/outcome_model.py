"""What an overseer can infer of what it did not see, by a classifier of frames that it saw.

Where outcomes end episodes, the classifier says of a last frame which outcome it shows. Elsewhere
anything may happen in any step, so it also learns what nothing looks like. Outcomes are rare: half
of what it learns from are frames of outcomes, and what it says is corrected for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.models.networks import Cells, DropChannel, network
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import NOTHING, expert_of
from routed_rl.worlds.spec import EnvSpec

_CHUNK = 2048
"""Frames looked at together: those of a whole rollout can be too many."""


@dataclass(frozen=True)
class OutcomeModelConfig:
    """The classifier's network, its memory, and how it is fitted."""

    hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers."""
    by_cell: bool = False
    """Look at all cells of a board with one network: tens of labels do what else takes hundreds."""
    capacity: int = 8192
    """How many frames of outcomes are kept, and of nothing; the newest over the oldest."""
    steps: int = 20
    """Optimiser steps for each rollout."""
    batch_size: int = 256
    """Frames an optimiser step."""
    learning_rate: float = 1e-3
    """Step size of AdamW."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""


class OutcomeModel:
    """Keeps frames that the overseer saw and learns which outcome each shows.

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
        self._reported = _Ring(config.capacity, spec.obs_shape, device)
        self._quiet: _Ring | None = None  # frames of nothing, where they have to be told apart
        if not spec.outcomes_end:
            self._quiet = _Ring(config.capacity, spec.obs_shape, device)

    def learn(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Remember what was seen in a rollout, and fit."""
        reported = rollout.reported != NOTHING
        frames = rollout.final_obs[reported]
        outcomes = expert_of(rollout.reported[reported])
        # Before fitting: so it is an error on labels that the model has not seen.
        with torch.no_grad():
            guess = self.network(frames)[:, : self.kinds].argmax(dim=1)
        wrong = (guess != outcomes).float().sum()
        self._reported.write(frames, outcomes)
        if self._quiet is not None:
            quiet = rollout.overseen & ~reported
            # "Nothing" is the last class, behind the K outcomes.
            nothing = torch.full_like(rollout.reported[quiet], self.kinds)
            self._quiet.write(rollout.final_obs[quiet], nothing)
        loss = self._fit() if self._reported.seen else frames.new_zeros(())
        error = wrong / max(len(outcomes), 1)
        return {"outcome_model/loss": loss, "outcome_model/error_on_new_labels": error}

    def infer(self, rollout: VisibleRollout) -> Tensor:
        """Return the probability that each outcome happened in each step, (T, B, K).

        What was seen is certain. Where outcomes end episodes the row is 0 where none ended.
        """
        shape = (*rollout.terminated.shape, self.kinds)
        probability = torch.zeros(shape, device=self._reported.frames.device)
        # Where outcomes end episodes only frames at ends are looked at: a few of T * B.
        asked = rollout.terminated if self._quiet is None else ~rollout.overseen
        probability[asked] = self.probabilities(rollout.final_obs[asked])
        known = rollout.reported != NOTHING
        reported = expert_of(rollout.reported[known])
        probability[known] = functional.one_hot(reported, self.kinds).float()
        return probability

    @torch.no_grad()
    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the probability of each outcome for frames (N, *obs_shape): (N, K)."""
        if self._quiet is None:
            return self.network(frames).softmax(dim=1)
        if not self._reported.seen:
            return torch.zeros(len(frames), self.kinds, device=frames.device)
        logits = torch.cat([self.network(part) for part in frames.split(_CHUNK)])
        # It learnt from as many frames of outcomes as of nothing, and met so many times more:
        logits[:, -1] += math.log(max(self._quiet.seen, 1) / self._reported.seen)
        return logits.softmax(dim=1)[:, : self.kinds]

    def _fit(self) -> Tensor:
        """Take some optimiser steps on what is remembered; return the mean loss."""
        rings = [self._reported]
        if self._quiet is not None and self._quiet.seen:
            rings.append(self._quiet)
        count = self.config.batch_size // len(rings)
        losses = []
        for _ in range(self.config.steps):
            drawn = [ring.draw(count, self.generator) for ring in rings]
            frames, outcomes = (torch.cat(column) for column in zip(*drawn, strict=True))
            loss = functional.cross_entropy(self.network(frames), outcomes)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting goes on from."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        } | self._reported.state_dict()
        return state if self._quiet is None else state | {"quiet": self._quiet.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self._reported.load_state_dict(state)
        if self._quiet is not None:
            self._quiet.load_state_dict(state["quiet"])


class _Ring:
    """Frames and what each shows, the newest over the oldest."""

    def __init__(self, capacity: int, obs_shape: Sequence[int], device: torch.device) -> None:
        """Make room for `capacity` frames."""
        self.frames = torch.zeros(capacity, *obs_shape, device=device)
        self.outcomes = torch.zeros(capacity, dtype=torch.int64, device=device)  # k, from 0
        self.seen = 0

    def write(self, frames: Tensor, outcomes: Tensor) -> None:
        """Write frames (N, *obs_shape) and outcomes (N,) into the ring, in parts that fit."""
        capacity = len(self.frames)
        parts = zip(frames.split(capacity), outcomes.split(capacity), strict=True)
        for frame, outcome in parts:
            numbers = torch.arange(len(outcome), device=outcome.device)
            place = (self.seen + numbers) % capacity
            self.frames[place] = frame
            self.outcomes[place] = outcome
            self.seen += len(outcome)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw frames (count, *obs_shape) and what they show (count,)."""
        kept = min(self.seen, len(self.frames))  # before the ring is full, its rest holds zeros
        index = torch.randint(kept, (count,), generator=generator, device=self.frames.device)
        return self.frames[index], self.outcomes[index]

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept."""
        # Copies: a slice would bring the whole ring along into a checkpoint.
        return {
            "frames": self.frames[: self.seen].clone(),
            "outcomes": self.outcomes[: self.seen].clone(),
            "seen": self.seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        kept = len(state["outcomes"])
        self.frames[:kept] = state["frames"]
        self.outcomes[:kept] = state["outcomes"]
        self.seen = state["seen"]


def _classifier(spec: EnvSpec, config: OutcomeModelConfig) -> nn.Sequential:
    """Build what maps frames (N, *obs_shape) to logits (N, K), or with nothing (N, K + 1)."""
    channels, *rest = spec.obs_shape  # of (D,) numbers each is a channel
    kinds = len(spec.outcomes) + (not spec.outcomes_end)  # nothing is one more where it can be
    drop: nn.Module = nn.Identity()
    if spec.oversight_channel is not None:
        drop = DropChannel(channels, spec.oversight_channel)
        channels -= 1
    if config.by_cell and rest and not spec.image:
        return nn.Sequential(drop, Cells(channels, config.hidden, kinds))
    inner = network((channels, *rest), config.hidden, kinds, image=spec.image)
    return nn.Sequential(drop, inner)
