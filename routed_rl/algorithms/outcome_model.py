"""What an overseer can infer of what it did not see, by a classifier of frames that it saw.

Where outcomes end episodes, the classifier says of the last frame of an episode, or of the last
few, which outcome it shows. Elsewhere anything may happen in any step, so it also learns what
nothing looks like. Outcomes are rare: half of what it learns from are frames of outcomes, and what
it says is corrected for that.

Where oversight is one-sided only bad outcomes are reported, so nothing is known to be good. There
it learns from what was reported and from what was not, which may be either.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.algorithms import losses
from routed_rl.algorithms.config import OutcomeModelConfig
from routed_rl.models.networks import Cells, DropChannel, network
from routed_rl.rollouts.frame_ring import FrameRing
from routed_rl.rollouts.last_frames import LastFrames
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.utils.adam import Adam
from routed_rl.worlds.outcomes import NOTHING, expert_of
from routed_rl.worlds.spec import EnvSpec

_CHUNK = 2048
"""Frames looked at together: those of a whole rollout can be too many."""
_ROLLOUTS = 8
"""What was not reported is kept of so many rollouts at least."""
_MOST_BAD = 0.99
"""The prior stays below 1, whatever recall is assumed."""


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

        Raises:
            ValueError: if only bad outcomes are reported in the world, and this is not for that.
        """
        if spec.one_sided and type(self) is OutcomeModel:
            raise ValueError(
                "in a world with one-sided oversight OutcomeModel would take every end for bad: "
                "build it with outcome_model(spec, config, seed=..., device=...)."
            )
        self.spec = spec
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            members = [_classifier(spec, config) for _ in range(config.members)]
        self.network = nn.ModuleList(members).to(device)
        self.optimizer = Adam(
            self.network.parameters(),
            config.learning_rate,
            weight_decay=config.weight_decay,
            decoupled=True,
        )
        self.generator = torch.Generator(device).manual_seed(seed)
        self.kinds = len(spec.outcomes)
        self._last_frames = LastFrames(config.frames)
        self._reported = _ring(spec, config, device)
        self._quiet: FrameRing | None = None  # frames of nothing, where they have to be told apart
        if not spec.outcomes_end:
            self._quiet = _ring(spec, config, device)

    def learn(self, rollout: VisibleRollout) -> dict[str, Tensor]:
        """Remember what was seen in a rollout, and fit; to be told of each rollout once."""
        self._last_frames.follow(rollout)
        reported = rollout.reported != NOTHING
        frames = self._last_frames.at(rollout, reported.nonzero(as_tuple=True))
        outcomes = expert_of(rollout.reported[reported])
        # Before fitting: so it is an error on labels that the model has not seen.
        wrong = (self._guess(frames) != outcomes).sum()
        self._reported.write(frames, outcomes)
        self._remember_rest(rollout)
        loss = self._fit() if self._ready else frames.new_zeros(())
        error = wrong / max(len(outcomes), 1)
        return {"outcome_model/loss": loss, "outcome_model/error_on_new_labels": error}

    def infer(self, rollout: VisibleRollout) -> Tensor:
        """Return the probability that each outcome happened in each step, (T, B, K).

        What was seen is certain. Where outcomes end episodes the row is 0 where none ended.
        """
        return self.infer_each(rollout).mean(dim=0)

    def infer_each(self, rollout: VisibleRollout) -> Tensor:
        """Return the same as each of M members sees it, (M, T, B, K)."""
        shape = (len(self.network), *rollout.terminated.shape, self.kinds)
        probability = torch.zeros(shape, device=self._reported.frames.device)
        if self.spec.outcomes_end:
            # Only frames at ends are looked at: a few of T * B.
            asked = [rollout.terminated.nonzero(as_tuple=True)]
        else:
            asked = _parts(~rollout.overseen)
        for time, env in asked:
            frames = self._last_frames.at(rollout, (time, env))
            probability[:, time, env] = self._probabilities(frames)
        known = rollout.reported != NOTHING
        reported = expert_of(rollout.reported[known])
        probability[:, known] = functional.one_hot(reported, self.kinds).float()
        return probability

    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the probability of each outcome for frames (n, N * C, ...): (n, K)."""
        return self._probabilities(frames).mean(dim=0)

    @torch.no_grad()
    def _probabilities(self, frames: Tensor) -> Tensor:
        """Return the same as each member sees it, (M, n, K)."""
        if self._quiet is None:
            return self._logits(frames).softmax(dim=2)
        if not self._reported.seen:
            return frames.new_zeros(len(self.network), len(frames), self.kinds)
        logits = torch.cat([self._logits(part) for part in frames.split(_CHUNK)], dim=1)
        # It learnt from as many frames of outcomes as of nothing, and met so many times more:
        logits[..., -1] += math.log(max(self._quiet.seen, 1) / self._reported.seen)
        return logits.softmax(dim=2)[..., : self.kinds]

    def _logits(self, frames: Tensor) -> Tensor:
        """Return the logits of each member, (M, n, classes)."""
        return torch.stack([member(frames) for member in self.network])

    @property
    def _ready(self) -> bool:
        """Whether there is something to learn from."""
        return self._reported.seen > 0

    @torch.no_grad()
    def _guess(self, frames: Tensor) -> Tensor:
        """Return what frames (n, N * C, ...) that show an outcome seem to show, (n,), k from 0."""
        return self._logits(frames)[..., : self.kinds].mean(dim=0).argmax(dim=1)

    def _remember_rest(self, rollout: VisibleRollout) -> None:
        """Keep frames of nothing, where they have to be told apart."""
        if self._quiet is None:
            return
        for steps in _parts(rollout.overseen & (rollout.reported == NOTHING)):
            # "Nothing" is the last class, behind the K outcomes.
            nothing = torch.full_like(steps[0], self.kinds)
            self._quiet.write(self._last_frames.at(rollout, steps), nothing)

    def _loss(self, member: nn.Module) -> Tensor:
        """Compute a member's loss on a minibatch of what is remembered."""
        rings = [self._reported]
        if self._quiet is not None and self._quiet.seen:
            rings.append(self._quiet)
        count = self.config.batch_size // len(rings)
        drawn = [ring.draw(count, self.generator) for ring in rings]
        frames, outcomes = (torch.cat(column) for column in zip(*drawn, strict=True))
        return functional.cross_entropy(member(frames), outcomes)

    def _fit(self) -> Tensor:
        """Take some optimiser steps on what is remembered; return the mean loss."""
        found = []
        for _ in range(self.config.steps):
            loss = torch.stack([self._loss(member) for member in self.network]).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            found.append(loss.detach())
        return torch.stack(found).mean() / len(self.network)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting goes on from."""
        state = {
            "network": self.network[0].state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        } | self._reported.state_dict()
        if self._quiet is not None:
            state |= {"quiet": self._quiet.state_dict()}
        others = [member.state_dict() for member in self.network[1:]]
        if others:
            state |= {"others": others}
        past = self._last_frames.state_dict()
        return state | {"past": past} if past else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        saved = [state["network"], *state.get("others", [])]
        for member, own in zip(self.network, saved, strict=True):
            member.load_state_dict(own)
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self._reported.load_state_dict(state)
        if self._quiet is not None:
            self._quiet.load_state_dict(state["quiet"])
        self._last_frames.load_state_dict(state.get("past", {}))


class OneSidedModel(OutcomeModel):
    """Learns from bad outcomes that were reported, and from all that was not, good or bad.

    Kiryo et al., "Positive-unlabelled learning with non-negative risk estimator", arXiv 1703.00593.
    The positives are what was reported. The prior, how much is bad in all, is the share that was
    reported divided by the recall that `config` assumes. It is that of the rollouts whose frames
    are kept, since a policy that learns changes it. Of bad outcomes another softmax says which.
    """

    def __init__(
        self, spec: EnvSpec, config: OutcomeModelConfig, *, seed: int, device: torch.device
    ) -> None:
        """Build the classifier; arguments as of the base class."""
        super().__init__(spec, config, seed=seed, device=device)
        self._quiet = None
        # What was not reported; with each frame the share of its rollout that was.
        self._unreported = _ring(spec, config, device, torch.float32)

    @torch.no_grad()
    def _probabilities(self, frames: Tensor) -> Tensor:
        """Return the probability of each outcome as each member sees it, (M, n, K).

        It is what the frames alone say: that nothing was reported does not count. An outcome that
        was never reported has 0; at ends, the target has all that is left.
        """
        found = frames.new_zeros(len(self.network), len(frames), self.kinds)
        if self._ready:
            logits = torch.cat([self._logits(part) for part in frames.split(_CHUNK)], dim=1)
            found = self._masked(logits).softmax(dim=2)[..., : self.kinds]
        if self.spec.outcomes_end:
            found[..., self.spec.outcomes.index(self.spec.target)] = 1 - found.sum(dim=2)
        return found

    @property
    def _ready(self) -> bool:
        """Whether there is something on either side."""
        return self._reported.seen > 0 and self._unreported.seen > 0

    def _guess(self, frames: Tensor) -> Tensor:
        """Return what frames seem to show, (n,); K, which is wrong here, for nothing bad."""
        with torch.no_grad():
            return self._masked(self._logits(frames).mean(dim=0)).argmax(dim=1)

    def _masked(self, logits: Tensor) -> Tensor:
        """Let logits (..., K + 1) be -inf for what was never reported; nothing bad is last."""
        met = torch.zeros(self.kinds + 1, dtype=torch.bool, device=logits.device)
        met[self._reported.numbers] = True
        met[-1] = True
        return logits.masked_fill(~met, -math.inf)

    def _remember_rest(self, rollout: VisibleRollout) -> None:
        """Keep some of what was not reported: at ends, or where outcomes end nothing anywhere."""
        reported = rollout.reported != NOTHING
        asked = rollout.terminated if self.spec.outcomes_end else torch.ones_like(reported)
        steps = (asked & ~reported).nonzero(as_tuple=True)
        # A few of each rollout, so that what is kept comes of several.
        order = torch.randperm(len(steps[0]), generator=self.generator, device=reported.device)
        some = order[: max(self.config.capacity // _ROLLOUTS, 1)]
        time, env = (column[some] for column in steps)
        share = reported.sum() / asked.sum()  # of nothing where nothing is asked
        self._unreported.write(self._last_frames.at(rollout, (time, env)), share.expand(len(some)))

    def _loss(self, member: nn.Module) -> Tensor:
        """Compute a member's risk on a minibatch, and of what was reported the loss of its kind."""
        count = self.config.batch_size // 2
        reported, outcomes = self._reported.draw(count, self.generator)
        positive = self._masked(member(reported))
        unlabelled = self._masked(member(self._unreported.draw(count, self.generator)[0]))
        share = float(self._unreported.numbers.mean())
        prior = max(share, min(share / self.config.recall, _MOST_BAD))
        risk = losses.non_negative_risk(
            self._bad(positive), self._bad(unlabelled), prior=prior, share=share
        )
        return risk + functional.cross_entropy(positive[:, : self.kinds], outcomes)

    def _bad(self, logits: Tensor) -> Tensor:
        """Return the logit of anything bad, (n,)."""
        return logits[:, : self.kinds].logsumexp(dim=1) - logits[:, self.kinds]

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting goes on from."""
        return super().state_dict() | {"unreported": self._unreported.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._unreported.load_state_dict(state["unreported"])


def outcome_model(
    spec: EnvSpec, config: OutcomeModelConfig, *, seed: int, device: torch.device
) -> OutcomeModel:
    """Build the outcome model that suits a world's oversight; arguments as of `OutcomeModel`."""
    kind = OneSidedModel if spec.one_sided else OutcomeModel
    return kind(spec, config, seed=seed, device=device)


def _ring(
    spec: EnvSpec,
    config: OutcomeModelConfig,
    device: torch.device,
    dtype: torch.dtype = torch.int64,
) -> FrameRing:
    """Make room for what the classifier looks at, and for a number of this type with each."""
    channels, *rest = spec.obs_shape
    return FrameRing(config.capacity, (config.frames * channels, *rest), device, dtype)


def _parts(mask: Tensor) -> list[tuple[Tensor, ...]]:
    """List where a mask (T, B) holds, as times and environments, in parts looked at together."""
    return list(zip(*(column.split(_CHUNK) for column in mask.nonzero(as_tuple=True)), strict=True))


def _classifier(spec: EnvSpec, config: OutcomeModelConfig) -> nn.Sequential:
    """Build what maps N frames (n, N * C, ...) to logits (n, K), or with nothing (n, K + 1)."""
    each, *rest = spec.obs_shape  # of (D,) numbers each is a channel
    channels = each * config.frames
    # Nothing, or nothing bad, is one more where it can be.
    kinds = len(spec.outcomes) + (spec.one_sided or not spec.outcomes_end)
    drop: nn.Module = nn.Identity()
    if spec.oversight_channel is not None:
        dropped = [spec.oversight_channel + each * i for i in range(config.frames)]
        drop = DropChannel(channels, *dropped)
        channels -= len(dropped)
    if config.by_cell and rest and not spec.image:
        return nn.Sequential(drop, Cells(channels, config.hidden, kinds))
    inner = network((channels, *rest), config.hidden, kinds, image=spec.image)
    return nn.Sequential(drop, inner)
