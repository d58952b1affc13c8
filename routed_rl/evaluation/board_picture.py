"""One policy on one board: an arrow for each action, and behind it what the gate chooses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from routed_rl.models.policy import Logits, Policy
from routed_rl.worlds.scene import Scene

INK = (47, 52, 64)
"""Colour of arrows and words."""
LEAST_PROBABILITY = 0.05
"""Actions below this have no arrow: it would be a speck."""

# Colours of a cell: the gate chooses the target's expert, none, or another one.
_TARGET = np.array([159, 221, 228])
_EVEN = np.array([255, 255, 255])
_OTHER = np.array([205, 178, 234])
_SCALE = 2  # boards are drawn larger and then scaled down, which smooths the edges
_GROUND = 4
"""So many pixels from a cell's corner there is nothing but ground."""


@torch.no_grad()
def draw_board(policy: Policy, scene: Scene, target: str) -> Image.Image:
    """Draw a policy on a scene, (rows * tile, columns * tile) pixels.

    Args:
        policy: of numbered actions.
        scene: the board.
        target: the expert whose share the background shows, if the policy has a gate.
    """
    logits = policy(scene.obs)  # one row a cell
    board = np.asarray(scene.background).repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    if logits.gate is not None and target in policy.spec.experts:
        gate = logits.gate.softmax(dim=1)  # (cells, E)
        _colour_cells(board, scene, gate[:, policy.spec.experts.index(target)].tolist())
    picture = Image.fromarray(board)
    _draw_arrows(picture, scene, logits)
    size = (picture.width // _SCALE, picture.height // _SCALE)
    return picture.resize(size, Image.Resampling.BOX)


def _colour_cells(board: NDArray[np.uint8], scene: Scene, shares: list[float]) -> None:
    """Colour the ground of each cell by the target expert's share of it.

    A margin is left as it was, and so is what lies on the ground.
    """
    tile = _SCALE * scene.tile
    for (row, column), share in zip(scene.cells.tolist(), shares, strict=True):
        colour = _TARGET if share > 0.5 else _OTHER
        # White at a share of 1/2, the full colour at 0 and 1.
        mixed = _EVEN + abs(2 * share - 1) * (colour - _EVEN)
        rows = slice(row * tile + 2, (row + 1) * tile - 2)
        columns = slice(column * tile + 2, (column + 1) * tile - 2)
        cell = board[rows, columns]
        ground = (cell == cell[_GROUND, _GROUND]).all(axis=2)
        cell[ground] = mixed


def _draw_arrows(picture: Image.Image, scene: Scene, logits: Logits) -> None:
    """Draw an arrow for each action of each cell, as long as the action is probable."""
    tile = _SCALE * scene.tile
    draw = ImageDraw.Draw(picture)
    table = logits.actions.softmax(dim=1).tolist()  # (cells, A)
    for (row, column), probabilities in zip(scene.cells.tolist(), table, strict=True):
        centre = np.array([column + 0.5, row + 0.5]) * tile  # x, y
        for (down, right), probability in zip(scene.moves.tolist(), probabilities, strict=True):
            if probability > LEAST_PROBABILITY:
                # Below half a tile, so that the arrow of a certain action stays in its cell.
                length = 0.46 * tile * probability
                _draw_arrow(draw, centre, np.array([right, down]), length, tile)


def _draw_arrow(
    draw: ImageDraw.ImageDraw,
    start: NDArray[np.float64],
    way: NDArray[np.int64],
    length: float,
    tile: int,
) -> None:
    """Draw an arrow of a length in pixels along one axis, `way` (2,) being its x and y."""
    head = min(0.16 * tile, length)  # a short arrow is all head
    neck = start + (length - head) * way
    tip = start + length * way
    across = 0.5 * head * way[::-1]  # at right angles to the way
    draw.line([*start, *neck], INK, width=max(1, round(0.045 * tile)))
    draw.polygon([*tip, *(neck + across), *(neck - across)], INK)
