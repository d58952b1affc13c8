"""Pictures of policies: boards with arrows in rows and columns, and films of episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from routed_rl.evaluation.board_picture import INK, draw_board
from routed_rl.models.policy import Policy
from routed_rl.utils.video import Frame
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.scene import Scene
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv

FILM_WIDTH = 480
"""Pixels of a film at least: smaller frames are scaled up by a whole factor."""

_GREY = (92, 94, 99)
_PAPER = (233, 233, 227)  # behind the words of a film: many frames are white
# Pixels for what stands around the boards.
_GAP = 10  # between two of them
_HEAD = 26  # above, for the titles of the scenes
_SIDE = 84  # at the left, for the names of the policies
_FOOT = 26  # below, for the legend
_STRIP = 58  # above the frames of a film, for two lines of words
_MARGIN = 12  # beside these words
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


class _Episode:
    """What has happened in the running episode."""

    def __init__(self, spec: EnvSpec) -> None:
        """Begin."""
        self._spec = spec
        self._steps = 0
        self._true_return = 0.0
        self._happened = dict.fromkeys(spec.outcomes, 0)
        self.ended = False

    def add(self, step: Step) -> None:
        """Count a step of environment 0."""
        self._true_return += self._spec.discount**self._steps * float(step.true_reward[0])
        self._steps += 1
        outcome = int(step.outcome[0])
        if outcome != NOTHING:
            self._happened[self._spec.outcomes[outcome - 1]] += 1
        self.ended = bool(step.terminated[0] | step.truncated[0])

    def __str__(self) -> str:
        """Say it in a line; the return is the true one, discounted."""
        said = f"step {self._steps}   return {self._true_return:+.3f}"
        counts = {name: count for name, count in self._happened.items() if count}
        if not counts:
            return said + "   no outcome" * self.ended
        outcomes = (name if n == 1 else f"{name} x{n}" for name, n in counts.items())
        return f"{said}   {', '.join(outcomes)}"


@torch.no_grad()
def film(
    policy: Policy, env: VecEnv, *, title: str, steps: int, seed: int, greedy: bool = False
) -> list[Frame]:
    """Film one environment, with words above: what acts, and how the episode stands.

    Args:
        policy: what acts.
        env: environments of which number 0 is shown; they are reset.
        title: the first line of words.
        steps: how many steps to show.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.

    Returns:
        5 frames a second, a pause at each end.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    obs = env.reset()
    episode = _Episode(env.spec)
    frames = [Frame(_with_words(env.render(), title, episode), _START)]
    for _ in range(steps):
        step = env.step(policy.act(obs, generator, greedy=greedy))
        episode.add(step)
        # The environment has been reset where it ended: `final` is the frame before that.
        image = _with_words(env.render(final=True), title, episode)
        frames.append(Frame(image, _END if episode.ended else _STEP))
        if episode.ended:
            episode = _Episode(env.spec)
            frames.append(Frame(_with_words(env.render(), title, episode), _START))
        obs = step.obs
    return frames


@cache
def _film_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(17)


def _with_words(frame: NDArray[np.uint8], title: str, episode: _Episode) -> Image.Image:
    """Put a strip above a frame (H, W, 3): what acts, and what has happened."""
    board = Image.fromarray(frame).convert("RGB")  # some environments draw in greys
    scale = math.ceil(FILM_WIDTH / board.width)
    board = board.resize((board.width * scale, board.height * scale), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (board.width, board.height + _STRIP), _PAPER)
    picture.paste(board, (0, _STRIP))
    draw = ImageDraw.Draw(picture)
    for line, (text, colour) in enumerate(((title, _GREY), (str(episode), INK))):
        draw.text((_MARGIN, (line + 0.5) * _STRIP / 2), text, colour, _film_font(), anchor="lm")
    return picture
