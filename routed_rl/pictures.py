"""Pictures of policies: arrows over a board, the gate behind them, and films of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from routed_rl.env import Scene, VecEnv
from routed_rl.policy import Policy

_INK, _GREY = (47, 52, 64), (92, 94, 99)
_OTHER, _EVEN, _TARGET = np.array([205, 178, 234]), np.array([255, 255, 255]), np.array([159, 221, 228])
_GAP, _HEAD, _SIDE, _FOOT = 10, 26, 84, 26  # pixels around and between boards, for the words


def arrows(policies: Mapping[str, Policy], scenes: Sequence[Scene], *, target: str) -> NDArray[np.uint8]:
    """Draw each policy as arrows over each scene.

    Args:
        policies: a row of boards each.
        scenes: a column each.
        target: the expert whose share the background shows, for a policy with a gate.

    Returns:
        The picture, (H, W, 3) uint8.
    """
    boards = [[_board(policy, scene, target) for scene in scenes] for policy in policies.values()]
    wide, high = boards[0][0].size
    size = (_SIDE + len(scenes) * (wide + _GAP), _HEAD + len(policies) * (high + _GAP) + _FOOT)
    picture = Image.new("RGB", size, "white")
    draw, font, small = ImageDraw.Draw(picture), ImageFont.load_default(15), ImageFont.load_default(13)
    for column, scene in enumerate(scenes):
        draw.text((_SIDE + column * (wide + _GAP) + wide / 2, _HEAD / 2), scene.title, _INK, font, anchor="mm")
    for row, name in enumerate(policies):
        top = _HEAD + row * (high + _GAP)
        draw.text((_SIDE / 2, top + high / 2), name, _INK, font, anchor="mm")
        for column, board in enumerate(boards[row]):
            picture.paste(board, (_SIDE + column * (wide + _GAP), top))
    note = (
        f"arrow length: probability    blue: the gate chooses the {target} expert, violet: another    yellow: overseen"
    )
    draw.text((_SIDE, size[1] - _FOOT / 2 - 3), note, _GREY, small, anchor="lm")
    return np.asarray(picture)


@torch.no_grad()
def _board(policy: Policy, scene: Scene, target: str) -> Image.Image:
    """Draw one policy on one scene, at twice the size and then scaled down, which smooths the edges."""
    tile = 2 * scene.tile
    board = np.asarray(scene.background).repeat(2, axis=0).repeat(2, axis=1)
    logits = policy(scene.obs)
    cells = scene.cells.tolist()
    if logits.gate is not None and target in policy.blueprint.experts:
        shares = logits.gate.softmax(dim=1)[:, policy.blueprint.experts.index(target)]
        for (row, column), share in zip(cells, shares.tolist(), strict=True):
            mixed = _EVEN + abs(2 * share - 1) * ((_TARGET if share > 0.5 else _OTHER) - _EVEN)
            board[row * tile + 2 : (row + 1) * tile - 2, column * tile + 2 : (column + 1) * tile - 2] = mixed
    picture = Image.fromarray(board)
    draw = ImageDraw.Draw(picture)
    for (row, column), chances in zip(cells, logits.actions.softmax(dim=1).tolist(), strict=True):
        centre = np.array([column + 0.5, row + 0.5]) * tile
        for (down, right), chance in zip(scene.moves.tolist(), chances, strict=True):
            if chance > 0.05:  # shorter arrows are specks
                _arrow(draw, centre, np.array([right, down]), 0.46 * tile * chance, tile)
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)


def _arrow(
    draw: ImageDraw.ImageDraw, start: NDArray[np.float64], way: NDArray[np.int64], length: float, tile: int
) -> None:
    """Draw an arrow of a length in pixels, its head a triangle that shrinks with a short arrow."""
    head = min(0.16 * tile, length)
    neck, tip, across = start + (length - head) * way, start + length * way, 0.5 * head * way[::-1]
    draw.line([*start, *neck], _INK, width=max(1, round(0.045 * tile)))
    draw.polygon([*tip, *(neck + across), *(neck - across)], _INK)


@torch.no_grad()
def film(policy: Policy, env: VecEnv, path: Path, *, steps: int, seed: int, greedy: bool = False) -> None:
    """Write a GIF of `steps` steps of one environment, 5 frames a second, a pause at each end.

    Args:
        policy: what acts.
        env: environments of which number 0 is shown.
        path: where to write.
        steps: how many steps to show.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    obs = env.reset()
    frames, pauses = [Image.fromarray(env.render())], [400]
    for _ in range(steps):
        step = env.step(policy.act(obs, generator, greedy=greedy))
        frames.append(Image.fromarray(env.render(final=True)))
        pauses.append(200)
        if step.terminated[0] or step.truncated[0]:
            pauses[-1] = 800
            frames.append(Image.fromarray(env.render()))
            pauses.append(400)
        obs = step.obs
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=pauses, loop=0)
