"""A small transformer over words, for the examples on language: torch only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        self.inputs, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the residual stream (N, T, D) over earlier positions."""
        split = self.inputs(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(split[0], split[1], split[2], is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and an MLP, each added to the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the layers."""
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Pass the residual stream (N, T, D) on."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A decoder, its parts named as routes want to name them: `embed`, `blocks.0.mlp`, `unembed`."""

    def __init__(self, words: int, length: int, *, width: int = 64, layers: int = 4, heads: int = 2) -> None:
        """Make the layers for texts of at most `length` of `words` different words."""
        super().__init__()
        self.embed, self.positions = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.unembed = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                table = name.startswith(("embed", "positions"))
                nn.init.normal_(parameter, std=0.3 if table else width**-0.5 / 2)

    def forward(self, texts: Tensor) -> Tensor:
        """Return logits (N, T, words) of the word after each of texts (N, T)."""
        return self.unembed(self.norm(self.stream(texts, len(self.blocks) - 1)))

    def stream(self, texts: Tensor, layer: int) -> Tensor:
        """Return the residual stream (N, T, D) behind a layer."""
        x = self.embed(texts) + self.positions(torch.arange(texts.shape[1], device=texts.device))
        return self.blocks[: layer + 1](x)


def word_losses(model: nn.Module, texts: Tensor) -> Tensor:
    """Take the cross-entropy (N, T - 1) of each word after the first of texts (N, T): nats, 0 where it is `PAD`."""
    logits = model(texts[:, :-1])
    return functional.cross_entropy(logits.transpose(1, 2), texts[:, 1:], ignore_index=PAD, reduction="none")


def mean_loss(model: nn.Module, texts: Tensor, counted: Tensor | None = None) -> Tensor:
    """Take the mean loss over the words of texts (N, T), or over those `counted` (N, T), bool."""
    counted = (texts != PAD if counted is None else counted & (texts != PAD))[:, 1:]
    return word_losses(model, texts)[counted].mean()


def train(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
    rules: Callable[[Tensor], Mapping[str, Rule]] = lambda _index: {},
    fixed_rate: bool = False,
    after: Callable[[int], None] = lambda _steps: None,
) -> None:
    """Train by Adam on random minibatches of `count` texts.

    Args:
        model: is changed in place.
        loss: indices (N,) of texts -> loss, a scalar.
        count: how many texts there are.
        steps: minibatches.
        batch: texts in a minibatch; all of them, each once, if there are no more.
        learning_rate: rises for 20 steps, then falls to 0 in a straight line.
        seed: of the minibatches.
        rules: indices (N,) of texts -> what is routed where, as `routed` takes it.
        fixed_rate: keep the learning rate as it is instead.
        after: is told, after every step, how many there were.
    """
    optimizer = torch.optim.Adam(model.parameters(), learning_rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if not fixed_rate:
            optimizer.param_groups[0]["lr"] = learning_rate * min(1, (step + 1) / 20) * (1 - step / steps)
        index = torch.randperm(count, generator=generator)[:batch]
        optimizer.zero_grad()
        with routed(model, rules(index)):
            loss(index).backward()
        optimizer.step()
        after(step + 1)
