"""A small transformer over words, for the examples on language: torch only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from routed_rl.routing import Rule, routed

PAD = 0
"""The word that fills up short texts; no loss is taken on it."""


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the two linear layers."""
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the residual stream (N, T, D) over earlier positions."""
        # (N, T, 3 D) -> queries, keys and values, each (N, heads, T, D / heads).
        split = self.inputs(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = split
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and an MLP, each added to the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the layers."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pass the residual stream (N, T, D) on."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A decoder whose parts have the names that routes use: `embed`, `blocks.0.mlp`, `unembed`."""

    def __init__(
        self, words: int, length: int, *, width: int = 64, layers: int = 4, heads: int = 2
    ) -> None:
        """Make the layers for texts of at most `length` of `words` different words."""
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.unembed = nn.Linear(width, words, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                is_table = name.startswith(("embed", "positions"))
                nn.init.normal_(parameter, std=0.3 if is_table else width**-0.5 / 2)

    def forward(self, texts: Tensor) -> Tensor:
        """Return logits (N, T, words) of the word after each of texts (N, T)."""
        return self.unembed(self.norm(self.stream(texts, len(self.blocks) - 1)))

    def stream(self, texts: Tensor, layer: int) -> Tensor:
        """Return the residual stream (N, T, D) behind a layer."""
        x = self.embed(texts) + self.positions(torch.arange(texts.shape[1], device=texts.device))
        return self.blocks[: layer + 1](x)


def word_losses(model: nn.Module, texts: Tensor) -> Tensor:
    """Take the cross-entropy of each word after the first.

    Args:
        model: a `Transformer`.
        texts: (N, T) int64.

    Returns:
        (N, T - 1) nats, 0 where the word is `PAD`.
    """
    logits = model(texts[:, :-1])
    return functional.cross_entropy(
        logits.transpose(1, 2), texts[:, 1:], ignore_index=PAD, reduction="none"
    )


def mean_loss(model: nn.Module, texts: Tensor, counted: Tensor | None = None) -> Tensor:
    """Take the mean loss over the words of texts (N, T), or over those `counted` (N, T), bool."""
    counts = texts != PAD
    if counted is not None:
        counts = counts & counted
    return word_losses(model, texts)[counts[:, 1:]].mean()


@dataclass(frozen=True)
class Training:
    """How long to train, and how."""

    steps: int
    """Minibatches."""
    batch: int
    """Texts in a minibatch; all of them, each once, if there are no more."""
    learning_rate: float
    """Rises for 20 steps, then falls to 0 in a straight line."""
    seed: int
    """Of the minibatches."""
    fixed_rate: bool = False
    """Keep the learning rate as it is instead."""

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if self.fixed_rate:
            return self.learning_rate
        return self.learning_rate * min(1, (step + 1) / 20) * (1 - step / self.steps)


def train(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    training: Training,
    *,
    rules: Callable[[Tensor], Mapping[str, Rule]] = lambda _index: {},
    after: Callable[[int], None] = lambda _steps: None,
) -> None:
    """Train by Adam on random minibatches of texts.

    Args:
        model: is changed in place.
        loss: indices (N,) of texts -> loss, a scalar.
        count: how many texts there are.
        training: how long, and how.
        rules: indices (N,) of texts -> what is routed where, as `routed` takes it.
        after: is told, after every step, how many there were.
    """
    optimizer = torch.optim.Adam(model.parameters(), training.learning_rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(training.seed)
    for step in range(training.steps):
        optimizer.param_groups[0]["lr"] = training.rate(step)
        index = torch.randperm(count, generator=generator)[: training.batch]
        optimizer.zero_grad()
        with routed(model, rules(index)):
            loss(index).backward()
        optimizer.step()
        after(step + 1)
