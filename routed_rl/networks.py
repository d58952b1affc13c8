"""Torsos and value networks, and the plane that an agent may be denied."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def mlp(obs_shape: Sequence[int], hidden: Sequence[int], outputs: int | None = None) -> nn.Sequential:
    """Build Flatten, then Linear and ReLU for each hidden size, then a last Linear if `outputs` is given.

    Biases start at 0 and weights as torch draws them, as in the paper's released code.

    Args:
        obs_shape: shape of one observation.
        hidden: widths of the hidden layers.
        outputs: width of a last layer without ReLU; None for a torso that ends in its features.

    Returns:
        A module from (N, *obs_shape) to (N, hidden[-1]) or (N, outputs).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(obs_shape)
    for size in hidden:
        layers += [linear(width, size), nn.ReLU(inplace=True)]
        width = size
    if outputs is not None:
        layers.append(linear(width, outputs))
    return nn.Sequential(*layers)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a Linear layer whose bias starts at 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer


def make_orthogonal(module: nn.Module, *, last_gain: float = math.sqrt(2)) -> None:
    """Draw every Linear layer's weights as orthogonal rows or columns, of gain sqrt(2) but for the last layer.

    Then all inputs have the same weight at the start, and no end is learnt first because the draw favoured it.
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks", arXiv 1312.6120.
    """
    *hidden, last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in hidden:
        nn.init.orthogonal_(layer.weight, math.sqrt(2))
    nn.init.orthogonal_(last.weight, last_gain)


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
