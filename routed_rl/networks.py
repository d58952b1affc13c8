"""Torsos and value networks, and the plane that an agent may be denied."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from routed_rl import sparse
from routed_rl.sparse import Sparse

SMALLEST_IMAGE = 36
"""Pictures with fewer pixels on a side than this are too small for the convolutions."""


def mlp(obs_shape: Sequence[int], hidden: Sequence[int], outputs: int | None = None) -> nn.Sequential:
    """Build Linear and ReLU for each hidden size, then a last Linear if `outputs` is given.

    Biases start at 0 and weights as torch draws them, as in the paper's released code.

    Args:
        obs_shape: shape of one observation.
        hidden: widths of the hidden layers.
        outputs: width of a last layer without ReLU; None for a torso that ends in its features.

    Returns:
        A module from (N, *obs_shape), dense or sparse, to (N, hidden[-1]) or (N, outputs).
    """
    layers: list[nn.Module] = []
    width = math.prod(obs_shape)
    for size in hidden:
        layers += [linear(width, size) if layers else FirstLayer(width, size), nn.ReLU(inplace=True)]
        width = size
    if outputs is not None:
        layers.append(linear(width, outputs))
    return nn.Sequential(*layers)


def network(
    obs_shape: Sequence[int], hidden: Sequence[int], outputs: int | None = None, *, image: bool = False
) -> nn.Sequential:
    """Build an `mlp`, or for an `image` a `cnn`, of the same arguments."""
    return (cnn if image else mlp)(obs_shape, hidden, outputs)


def cnn(obs_shape: Sequence[int], hidden: Sequence[int], outputs: int | None = None) -> nn.Sequential:
    """Build the three convolutions of Mnih et al. (Nature 518, 2015), then an `mlp` over what they find.

    Args:
        obs_shape: (C, H, W); H and W at least `SMALLEST_IMAGE`.
        hidden: widths of the hidden layers behind the convolutions.
        outputs: as of `mlp`.
    """
    layers: list[nn.Module] = []
    channels, *sides = obs_shape
    for size, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        layer = nn.Conv2d(channels, size, kernel, stride)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU(inplace=True)]
        channels, sides = size, [(side - kernel) // stride + 1 for side in sides]
    return nn.Sequential(*layers, mlp((channels, *sides), hidden, outputs))


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a Linear layer whose bias starts at 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer


class FirstLayer(nn.Module):
    """A linear layer over flattened observations, dense or sparse. Its weight (inputs, outputs) has a row an input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Draw weights as torch draws those of a Linear layer; the bias starts at 0."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-1, 1) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, obs: Tensor | Sparse) -> Tensor:
        """Map observations (N, ...) to (N, outputs)."""
        if isinstance(obs, Sparse):
            return sparse.product(obs, self.weight).add_(self.bias)
        return torch.addmm(self.bias, obs.flatten(1), self.weight)


class Cells(nn.Module):
    """One small network over every cell of a board, its answers summed: what holds in one cell holds in all."""

    def __init__(self, planes: int, hidden: Sequence[int], outputs: int) -> None:
        """Map boards (N, planes, ...) to (N, outputs)."""
        super().__init__()
        self.network = mlp((planes,), hidden, outputs)

    def forward(self, obs: Tensor) -> Tensor:
        """Sum over the cells of boards (N, C, ...): (N, outputs)."""
        cells = obs.flatten(2).transpose(1, 2)
        return self.network(cells.flatten(0, 1)).unflatten(0, cells.shape[:2]).sum(dim=1)


class Told(nn.Module):
    """A network that is told the expert weights, as a critic is: what a state is worth depends on who acts in it."""

    def __init__(self, network: nn.Sequential, num_experts: int) -> None:
        """Let the weights of `num_experts` experts speak in the first linear layer of a network."""
        super().__init__()
        last = network[-1]  # of a network that begins with convolutions: all its linear layers
        layers, before = (last, network[:-1]) if isinstance(last, nn.Sequential) else (network, nn.Sequential())
        first = layers[0]
        assert isinstance(first, FirstLayer)
        self.before, self.first, self.rest = before, first, layers[1:]
        self.by_steer = nn.Linear(num_experts + 1, len(first.bias), bias=False)

    def forward(self, obs: Tensor | Sparse, steer: Tensor) -> Tensor:
        """Map observations (N, ...) and weights (N, E), NaN where the gate decides, to what the network gives."""
        gated = steer[:, :1].isnan().to(steer.dtype)
        first = self.first(self.before(obs))
        return self.rest(first + self.by_steer(torch.cat((steer.nan_to_num(0.0), gated), dim=1)))


class DropPlane(nn.Module):
    """Leave one plane out of (N, C, ...) observations: whoever deploys a policy can deny it a flag."""

    kept: Tensor

    def __init__(self, planes: int, dropped: int) -> None:
        """Keep all of `planes` but number `dropped`."""
        super().__init__()
        kept = torch.tensor([i for i in range(planes) if i != dropped])
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, obs: Tensor) -> Tensor:
        """Return observations (N, C - 1, ...)."""
        return obs.index_select(1, self.kept)
