"""Distributions of actions: categorical for whole numbers, Gaussian for continuous ones.

A policy answers each observation with the P parameters of a distribution, one row of a tensor. What
they mean is known here alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

LOG_STD_RANGE = (-5.0, 2.0)
"""Below the first a deviation is as good as 0; above the second most actions are clipped."""

_FEW = 16
"""Columns: torch's kernel over a row's numbers wants more of them."""


def log_softmax(logits: Tensor) -> Tensor:
    """Compute the log-softmax of rows (N, A). Of few columns it is faster column by column."""
    return logits.t().log_softmax(dim=0).t() if logits.shape[1] < _FEW else logits.log_softmax(1)


def softmax(logits: Tensor) -> Tensor:
    """Compute the softmax of rows (N, A), likewise."""
    return logits.t().softmax(dim=0).t() if logits.shape[1] < _FEW else logits.softmax(1)


class Distribution(Protocol):
    """What rows of parameters (N, P) say about actions."""

    def sample(self, parameters: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw an action from each row.

        Args:
            parameters: (N, P).
            generator: on the device of the parameters.

        Returns:
            Actions, and their log-probabilities (N,).
        """
        ...

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the likeliest action of each row."""
        ...

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Return log-probabilities (N,) of actions."""
        ...

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return entropies (N,) in nats."""
        ...


class Categorical:
    """Actions (N,) int64; the parameters are logits (N, A)."""

    def sample(self, parameters: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw actions (N,) by the Gumbel-max trick, and return their log-probabilities (N,)."""
        log_probs = log_softmax(parameters).contiguous()
        # -log(e) of an exponential e is Gumbel noise: the argmax of log p_a - log e_a is a draw.
        noise = torch.empty_like(parameters).exponential_(generator=generator)
        action = (log_probs - noise.log()).argmax(dim=1)
        return action, log_probs.gather(1, action[:, None]).squeeze(1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the likeliest actions (N,)."""
        return parameters.argmax(dim=1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Return log-probabilities (N,) of actions (N,)."""
        return log_softmax(parameters).gather(1, action[:, None]).squeeze(1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return entropies (N,) in nats: -sum_a p_a log p_a."""
        log_probs = log_softmax(parameters)
        return -(log_probs.exp() * log_probs).sum(dim=1)


@dataclass(frozen=True)
class MultiCategorical:
    """Actions (N, A) int64 of independent numbers; the parameters are logits (N, sum(sizes))."""

    sizes: tuple[int, ...]
    """How many values each of the A numbers has."""

    def sample(self, parameters: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw actions (N, A), and return their log-probabilities (N,)."""
        drawn = [Categorical().sample(logits, generator) for logits in self._split(parameters)]
        actions, log_probs = (torch.stack(column, dim=1) for column in zip(*drawn, strict=True))
        return actions, log_probs.sum(dim=1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the likeliest actions (N, A)."""
        modes = [Categorical().mode(logits) for logits in self._split(parameters)]
        return torch.stack(modes, dim=1)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Return log-probabilities (N,) of actions (N, A): the sum of their numbers'."""
        numbers = zip(self._split(parameters), action.unbind(dim=1), strict=True)
        return _sum([Categorical().log_prob(logits, number) for logits, number in numbers])

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return entropies (N,) in nats: the sum of the numbers'."""
        return _sum([Categorical().entropy(logits) for logits in self._split(parameters)])

    def _split(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Take parameters apart: A of (N, size)."""
        return parameters.split(self.sizes, dim=1)


def _sum(columns: list[Tensor]) -> Tensor:
    """Sum A columns (N,)."""
    return torch.stack(columns, dim=1).sum(dim=1)


class Gaussian:
    """Actions (N, A) of independent numbers.

    The parameters (N, 2A) are A means and A log standard deviations. An environment clips the
    actions that it is given; probabilities are those of the unclipped ones.
    """

    def sample(self, parameters: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw actions (N, A), and return their log-densities (N,)."""
        # a = mean + std * z with z normal.
        mean, log_std = parameters.chunk(2, dim=1)
        action = mean + log_std.exp() * torch.empty_like(mean).normal_(generator=generator)
        return action, self.log_prob(parameters, action)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the means (N, A)."""
        mean, _ = parameters.chunk(2, dim=1)
        return mean

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """Return log-densities (N,) of actions (N, A)."""
        mean, log_std = parameters.chunk(2, dim=1)
        # With z = (a - mean) / std: log N(a) = -(z^2 / 2 + log std + log(2 pi) / 2), summed over A.
        deviation = (action - mean) * (-log_std).exp()
        return -(0.5 * deviation.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """Return differential entropies (N,) in nats."""
        _, log_std = parameters.chunk(2, dim=1)
        # log std + log(2 pi e) / 2, summed over A: the means do not matter.
        return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=1)


class GaussianHead(nn.Module):
    """From features to the parameters of a Gaussian, whose deviations no observation changes."""

    def __init__(self, mean: nn.Module, num_actions: int) -> None:
        """Compute means by a module from (N, F) to (N, A); deviations start at 1."""
        super().__init__()
        self.mean = mean
        self.log_std = nn.Parameter(torch.zeros(num_actions))  # (A,)

    def forward(self, features: Tensor) -> Tensor:
        """Return parameters (N, 2A) for features (N, F)."""
        mean = self.mean(features)
        log_std = self.log_std.clamp(*LOG_STD_RANGE).expand_as(mean)  # (N, A), all rows alike
        return torch.cat((mean, log_std), dim=1)
