"""What an overseer can infer of what it did not see, by a classifier of frames that it saw.

Where outcomes end episodes, the classifier says of a last frame which outcome it shows, or of the
last few frames. Elsewhere
anything may happen in any step, so it also learns what nothing looks like. Outcomes are rare: half
of what it learns from are frames of outcomes, and what it says is corrected for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.models.networks import Cells, DropChannel, network
from routed_rl.rollouts.frame_ring import FrameRing
from routed_rl.rollouts.last_frames import LastFrames
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
    frames: int = 1
    """How many of the last frames of an episode are looked at, side by side; 1: the last alone."""
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


@dataclass(frozen=True)
class InferringConfig(LearnerConfig):
    """The settings of an agent with an outcome model."""

    model_hidden: tuple[int, ...] = (64,)
    """Widths of the hidden layers of the outcome model."""
    model_by_cell: bool = False
    """Let the outcome model look at each cell of a board with the same network: it needs fewer
    labels."""
    model_frames: int = 1
    """How many of the last frames of an episode the outcome model looks at; 1: the last alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_frames < 1:
            raise ValueError(f"model-frames is {self.model_frames}: give 1 or more.")

    @property
    def outcome_model(self) -> OutcomeModelConfig:
        """The settings of the outcome model."""
        return OutcomeModelConfig(
            hidden=self.model_hidden, by_cell=self.model_by_cell, frames=self.model_frames
        )


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
        self._last_frames = LastFrames(config.frames)
        channels, *rest = spec.obs_shape
        shape = (config.frames * channels, *rest)
        self._reported = FrameRing(config.capacity, shape, device)
        self._quiet: FrameRing | None = None  # frames of nothing, where they have to be told apart
        if not spec.outcomes_end:
            self._quiet = FrameRing(config.capacity, shape, device)

    def learn(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Remember what was seen in a rollout, and fit; to be told of each rollout once."""
        self._last_frames.follow(rollout)
        reported = rollout.reported != NOTHING
        frames = self._last_frames.at(rollout, reported.nonzero(as_tuple=True))
        outcomes = expert_of(rollout.reported[reported])
        # Before fitting: so it is an error on labels that the model has not seen.
        with torch.no_grad():
            guess = self.network(frames)[:, : self.kinds].argmax(dim=1)
        wrong = (guess != outcomes).float().sum()
        self._reported.write(frames, outcomes)
        if self._quiet is not None:
            for steps in _parts(rollout.overseen & ~reported):
                # "Nothing" is the last class, behind the K outcomes.
                nothing = torch.full_like(steps[0], self.kinds)
                self._quiet.write(self._last_frames.at(rollout, steps), nothing)
        loss = self._fit() if self._reported.seen else frames.new_zeros(())
        error = wrong / max(len(outcomes), 1)
        return {"outcome_model/loss": loss, "outcome_model/error_on_new_labels": error}

    def infer(self, rollout: VisibleRollout) -> Tensor:
        """Return the probability that each outcome happened in each step, (T, B, K).

        What was seen is certain. Where outcomes end episodes the row is 0 where none ended.
        """
        shape = (*rollout.terminated.shape, self.kinds)
        probability = torch.zeros(shape, device=self._reported.frames.device)
        if self._quiet is None:
            # Only frames at ends are looked at: a few of T * B.
            asked = [rollout.terminated.nonzero(as_tuple=True)]
        else:
            asked = _parts(~rollout.overseen)
        for steps in asked:
            probability[steps] = self.probabilities(self._last_frames.at(rollout, steps))
        known = rollout.reported != NOTHING
        reported = expert_of(rollout.reported[known])
        probability[known] = functional.one_hot(reported, self.kinds).float()
        return probability

    @torch.no_grad()
    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the probability of each outcome for frames (n, N * C, ...): (n, K)."""
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
        if self._quiet is not None:
            state |= {"quiet": self._quiet.state_dict()}
        past = self._last_frames.state_dict()
        return state | {"past": past} if past else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self._reported.load_state_dict(state)
        if self._quiet is not None:
            self._quiet.load_state_dict(state["quiet"])
        self._last_frames.load_state_dict(state.get("past", {}))


def _parts(mask: Tensor) -> list[tuple[Tensor, ...]]:
    """List where a mask (T, B) holds, as times and environments, in parts looked at together."""
    return list(zip(*(column.split(_CHUNK) for column in mask.nonzero(as_tuple=True)), strict=True))


def _classifier(spec: EnvSpec, config: OutcomeModelConfig) -> nn.Sequential:
    """Build what maps N frames (n, N * C, ...) to logits (n, K), or with nothing (n, K + 1)."""
    each, *rest = spec.obs_shape  # of (D,) numbers each is a channel
    channels = each * config.frames
    kinds = len(spec.outcomes) + (not spec.outcomes_end)  # nothing is one more where it can be
    drop: nn.Module = nn.Identity()
    if spec.oversight_channel is not None:
        dropped = [spec.oversight_channel + each * i for i in range(config.frames)]
        drop = DropChannel(channels, *dropped)
        channels -= len(dropped)
    if config.by_cell and rest and not spec.image:
        return nn.Sequential(drop, Cells(channels, config.hidden, kinds))
    inner = network((channels, *rest), config.hidden, kinds, image=spec.image)
    return nn.Sequential(drop, inner)
