"""Pictures of policies: boards with arrows in rows and columns, and films of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from routed_rl.evaluation.board_picture import INK, draw_board
from routed_rl.models.policy import Policy
from routed_rl.worlds.scene import Scene
from routed_rl.worlds.vec_env import VecEnv

_GREY = (92, 94, 99)
# Pixels for what stands around the boards.
_GAP = 10  # between two of them
_HEAD = 26  # above, for the titles of the scenes
_SIDE = 84  # at the left, for the names of the policies
_FOOT = 26  # below, for the legend
_CARD_HEAD = 30  # above each board of a card, for its title
_CARD_FONT = 22

# Milliseconds for which a frame of a film is shown.
_STEP = 200
_END = 800
_START = 400


class _Grid(NamedTuple):
    """Where boards of one size stand in a picture."""

    width: int  # of a board, in pixels
    height: int
    rows: int
    columns: int

    def left(self, column: int) -> int:
        """Return the x of a column of boards."""
        return _SIDE + column * (self.width + _GAP)

    def top(self, row: int) -> int:
        """Return the y of a row of boards."""
        return _HEAD + row * (self.height + _GAP)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.left(self.columns), self.top(self.rows) + _FOOT


Boards = Mapping[str, Sequence[Image.Image]]
"""Name of a policy -> what it does on each scene."""


def draw(policies: Mapping[str, Policy], scenes: Sequence[Scene], *, target: str) -> Boards:
    """Draw each policy as arrows over each scene.

    Args:
        policies: by name.
        scenes: the boards.
        target: the expert whose share the background shows, for a policy with a gate.
    """
    return {
        name: [draw_board(policy, scene, target) for scene in scenes]
        for name, policy in policies.items()
    }


def sheet(boards: Boards, scenes: Sequence[Scene], *, target: str) -> NDArray[np.uint8]:
    """Put all boards into one picture (H, W, 3): a row for each policy, a column for each scene."""
    width, height = next(iter(boards.values()))[0].size
    grid = _Grid(width, height, rows=len(boards), columns=len(scenes))
    picture = Image.new("RGB", grid.size, "white")
    _write_words(picture, grid, list(boards), [scene.title for scene in scenes])
    # After the words, so that a long name ends where the board begins.
    for row, line in enumerate(boards.values()):
        for column, board in enumerate(line):
            picture.paste(board, (grid.left(column), grid.top(row)))
    legend = (
        f"arrow length: probability    blue: the gate chooses the {target} expert, "
        "violet: another    yellow: overseen"
    )
    # PIL takes the middle of a line; 3 pixels up make room for what hangs below it.
    foot = (_SIDE, picture.height - _FOOT / 2 - 3)
    ImageDraw.Draw(picture).text(foot, legend, _GREY, ImageFont.load_default(13), anchor="lm")
    return np.asarray(picture)


def card(boards: Sequence[Image.Image], scenes: Sequence[Scene]) -> NDArray[np.uint8]:
    """Put one policy's boards into a picture (H, W, 3) that can be read where it is shown small.

    TensorBoard makes pictures 350 pixels wide: there are two boards in a row, under large titles.
    """
    width, height = boards[0].size
    columns = min(len(boards), 2)
    across, down = width + _GAP, _CARD_HEAD + height
    size = (columns * across - _GAP, -(-len(boards) // columns) * down)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_CARD_FONT)
    for number, (board, scene) in enumerate(zip(boards, scenes, strict=True)):
        left, top = number % columns * across, number // columns * down
        place = (left + width / 2, top + _CARD_HEAD / 2)
        pen.text(place, scene.title, INK, font, anchor="mm")
        picture.paste(board, (left, top + _CARD_HEAD))
    return np.asarray(picture)


def _write_words(
    picture: Image.Image, grid: _Grid, names: Sequence[str], titles: Sequence[str]
) -> None:
    """Write a title over each column and a name beside each row, in the middle of it."""
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    for column, title in enumerate(titles):
        place = (grid.left(column) + grid.width / 2, _HEAD / 2)
        draw.text(place, title, INK, font, anchor="mm")
    for row, name in enumerate(names):
        place = (_SIDE / 2, grid.top(row) + grid.height / 2)
        draw.text(place, name, INK, font, anchor="mm")


@torch.no_grad()
def film(
    policy: Policy, env: VecEnv, path: Path, *, steps: int, seed: int, greedy: bool = False
) -> None:
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
    frames = [Image.fromarray(env.render())]
    durations = [_START]
    for _ in range(steps):
        step = env.step(policy.act(obs, generator, greedy=greedy))
        # The environment has been reset where it ended: `final` is the frame before that.
        frames.append(Image.fromarray(env.render(final=True)))
        durations.append(_STEP)
        if step.terminated[0] or step.truncated[0]:
            durations[-1] = _END
            frames.append(Image.fromarray(env.render()))
            durations.append(_START)
        obs = step.obs
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0)
