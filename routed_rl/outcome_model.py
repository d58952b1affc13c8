"""What an overseer can infer of unlabelled episodes: a classifier of last frames, fitted on the labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.env import NOTHING, EnvSpec
from routed_rl.networks import Cells, DropPlane, network
from routed_rl.rollout import Rollout


class OutcomeModel:
    """Keeps the last frames that were labelled and learns which outcome each shows. It never sees the oversight."""

    def __init__(
        self,
        spec: EnvSpec,
        hidden: Sequence[int],
        *,
        by_cell: bool = False,
        seed: int,
        device: torch.device,
        capacity: int = 8192,
        steps: int = 20,
        minibatch: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
    ) -> None:
        """Build the classifier from `seed`.

        Args:
            spec: of the environment.
            hidden: widths of the hidden layers.
            by_cell: look at each cell of a board with the same eyes; then tens of labels do what else takes hundreds.
            seed: decides weights and minibatches.
            device: where to compute.
            capacity: how many labelled frames are kept; the newest take the place of the oldest.
            steps: optimiser steps for each rollout.
            minibatch: frames a step.
            learning_rate: of AdamW.
            weight_decay: of AdamW.
        """
        planes, *rest = spec.obs_shape
        blind = spec.oversight_plane is not None
        view = DropPlane(planes, spec.oversight_plane) if spec.oversight_plane is not None else nn.Identity()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            kinds = len(spec.outcomes)
            if by_cell and rest and not spec.image:
                net = Cells(planes - blind, hidden, kinds)
            else:
                net = network((planes - blind, *rest), hidden, kinds, image=spec.image)
        self.network = nn.Sequential(view, net).to(device)
        self.optimizer = torch.optim.AdamW(net.parameters(), learning_rate, weight_decay=weight_decay)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.frames = torch.zeros(capacity, *spec.obs_shape, device=device)
        self.outcomes = torch.zeros(capacity, dtype=torch.int64, device=device)
        self.seen, self._steps, self._minibatch = 0, steps, minibatch

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Remember what was reported in a rollout, and fit."""
        reported = rollout.reported != NOTHING
        frames, outcomes = rollout.final_obs[reported], rollout.reported[reported] - 1
        wrong = (self.probabilities(frames).argmax(dim=1) != outcomes).float().sum() / max(len(outcomes), 1)
        for frame, outcome in zip(frames.split(len(self.frames)), outcomes.split(len(self.frames)), strict=True):
            place = (self.seen + torch.arange(len(outcome), device=outcome.device)) % len(self.frames)
            self.frames[place], self.outcomes[place] = frame, outcome
            self.seen += len(outcome)
        loss = self._fit() if self.seen else frames.new_zeros(())
        return {"outcome_model/loss": loss, "outcome_model/error_on_new_labels": wrong}

    def infer(self, rollout: Rollout) -> Tensor:
        """Return the chance of each outcome at every end, (T, B, K): a reported one is certain; 0 where none ended."""
        chances = torch.zeros(
            *rollout.terminated.shape, self.network(self.frames[:1]).shape[1], device=self.frames.device
        )
        chances[rollout.terminated] = self.probabilities(rollout.final_obs[rollout.terminated])
        known = rollout.reported != NOTHING
        chances[known] = functional.one_hot(rollout.reported[known] - 1, chances.shape[2]).float()
        return chances

    @torch.no_grad()
    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the chance of each outcome for frames (N, *obs_shape): (N, K)."""
        return self.network(frames).softmax(dim=1)

    def _fit(self) -> Tensor:
        """Take some optimiser steps on what is remembered; return the mean loss."""
        kept = min(self.seen, len(self.frames))
        losses = []
        for _ in range(self._steps):
            index = torch.randint(kept, (self._minibatch,), generator=self.generator, device=self.frames.device)
            loss = functional.cross_entropy(self.network(self.frames[index]), self.outcomes[index])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting goes on from."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "frames": self.frames[: self.seen],
            "outcomes": self.outcomes[: self.seen],
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        kept = len(state["outcomes"])
        self.frames[:kept], self.outcomes[:kept] = state["frames"], state["outcomes"]
        self.seen = state["seen"]
