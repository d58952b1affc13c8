"""Torsos and value networks, and the channel that an agent may be denied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from routed_rl.models import sparse
from routed_rl.models.sparse import Sparse

CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Channels, side of the kernel and stride, of Mnih et al. (Nature 518, 2015); without padding."""
SMALLEST_IMAGE = 36
"""Pictures with fewer pixels on a side than this are too small for the convolutions."""


def mlp(
    obs_shape: Sequence[int],
    hidden: Sequence[int],
    outputs: int | None = None,
    *,
    activation: str = "relu",
) -> nn.Sequential:
    """Build Linear and activation for each hidden size, then a last Linear if `outputs` is given.

    Biases start at 0 and weights as torch draws them, as in the paper's released code.

    Args:
        obs_shape: shape of one observation.
        hidden: widths of the hidden layers.
        outputs: width of a last layer without activation; None for a torso that ends in its
            features.
        activation: "relu" or "tanh".

    Returns:
        A module from (N, *obs_shape), dense or sparse, to (N, hidden[-1]) or (N, outputs).
    """
    layers: list[nn.Module] = []
    width = math.prod(obs_shape)
    for size in hidden:
        layers += [linear(width, size) if layers else FirstLayer(width, size)]
        layers += [nn.Tanh() if activation == "tanh" else nn.ReLU(inplace=True)]
        width = size
    if outputs is not None:
        layers.append(linear(width, outputs))
    return nn.Sequential(*layers)


def cnn(
    obs_shape: Sequence[int],
    hidden: Sequence[int],
    outputs: int | None = None,
    *,
    activation: str = "relu",
) -> nn.Sequential:
    """Build the `CONVOLUTIONS`, then an `mlp` behind them.

    Args:
        obs_shape: (C, H, W); H and W at least `SMALLEST_IMAGE`.
        hidden: widths of the hidden layers behind the convolutions.
        outputs: as of `mlp`.
        activation: of that `mlp`; convolutions have ReLU.
    """
    layers: list[nn.Module] = []
    channels = obs_shape[0]
    for size, kernel, stride in CONVOLUTIONS:
        layer = nn.Conv2d(channels, size, kernel, stride)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU(inplace=True)]
        channels = size
    seen = behind_convolutions(obs_shape)
    return nn.Sequential(*layers, mlp(seen, hidden, outputs, activation=activation))


def behind_convolutions(obs_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of what the `CONVOLUTIONS` make of an image (C, H, W)."""
    sides = obs_shape[1:]
    for _, kernel, stride in CONVOLUTIONS:
        sides = [(side - kernel) // stride + 1 for side in sides]
    return (CONVOLUTIONS[-1][0], *sides)


def weights_of(obs_shape: Sequence[int], hidden: Sequence[int], *, image: bool = False) -> int:
    """Return how many weights a `network` of these arguments has, without biases."""
    count = 0
    if image:
        channels = (obs_shape[0], *(size for size, _, _ in CONVOLUTIONS))
        for (before, after), (_, kernel, _) in zip(pairwise(channels), CONVOLUTIONS, strict=True):
            count += before * after * kernel**2
        obs_shape = behind_convolutions(obs_shape)
    return count + sum(a * b for a, b in pairwise((math.prod(obs_shape), *hidden)))


def network(
    obs_shape: Sequence[int],
    hidden: Sequence[int],
    outputs: int | None = None,
    *,
    image: bool = False,
    activation: str = "relu",
) -> nn.Sequential:
    """Build an `mlp`, or for an `image` a `cnn`, of the same arguments."""
    return (cnn if image else mlp)(obs_shape, hidden, outputs, activation=activation)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a Linear layer whose bias starts at 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer


class FirstLayer(nn.Module):
    """A linear layer over flattened observations, dense or sparse.

    Its weight is (inputs, outputs), a row for each input: a sparse product is a sum of rows.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        """Draw weights as torch draws those of a Linear layer; the bias starts at 0."""
        super().__init__()
        drawn = torch.empty(inputs, outputs).uniform_(-1, 1)  # U(-1, 1) / sqrt(inputs), as Linear's
        self.weight = nn.Parameter(drawn / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, obs: Tensor | Sparse) -> Tensor:
        """Map observations (N, ...) to (N, outputs)."""
        if isinstance(obs, Sparse):
            # The product is nobody else's yet, so the bias can be added in place.
            return sparse.product(obs, self.weight).add_(self.bias)
        return torch.addmm(self.bias, obs.flatten(1), self.weight)


class Cells(nn.Module):
    """One small network over every cell of a board, its outputs summed.

    What is learnt of one cell holds for all, so tens of labels do what else takes hundreds.
    """

    def __init__(self, channels: int, hidden: Sequence[int], outputs: int) -> None:
        """Map boards (N, channels, ...) to (N, outputs)."""
        super().__init__()
        self.network = mlp((channels,), hidden, outputs)

    def forward(self, obs: Tensor) -> Tensor:
        """Sum over the cells of boards (N, C, ...): (N, outputs)."""
        cells = obs.flatten(2).transpose(1, 2)  # (N, cells, C)
        outputs = self.network(cells.flatten(0, 1))
        return outputs.unflatten(0, cells.shape[:2]).sum(dim=1)


class DropChannel(nn.Module):
    """Leave channels out of (N, C, ...) observations: so a policy can be denied a flag."""

    kept: Tensor  # (C - D,) int64, of D that are dropped

    def __init__(self, channels: int, *dropped: int) -> None:
        """Keep all of `channels` but those with the numbers `dropped`."""
        super().__init__()
        kept = torch.tensor([i for i in range(channels) if i not in dropped])
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, obs: Tensor) -> Tensor:
        """Return observations (N, C - D, ...)."""
        return obs.index_select(1, self.kept)
