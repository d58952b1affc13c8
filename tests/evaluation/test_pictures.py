"""Boards of arrows, and films."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, world
from numpy.typing import NDArray
from PIL import ImageDraw
from walk import Config, Walk

from routed_rl.evaluation import pictures
from routed_rl.models.build import build_policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import ablate


def test_each_policy_is_drawn_on_each_board() -> None:
    env = world(1)
    torch.manual_seed(0)
    policy = build_policy(PolicySpec((4, 5, 5), 4, env.spec.outcomes, (8,), gate=True))
    policies = {"mixture": policy, "diamond": ablate(policy, {"diamond": 1.0})}
    scenes = env.scenes()

    def drawn() -> NDArray[np.uint8]:
        boards = pictures.draw(policies, scenes, target="diamond")
        return pictures.sheet(boards, scenes, target="diamond")

    picture = drawn()
    assert picture.dtype == "uint8"
    height, width, _ = picture.shape
    assert 400 < height < 700
    assert 900 < width < 1200
    some = picture[:: height // 50, :: width // 50].reshape(-1, 3)
    assert len({tuple(colour) for colour in some}) > 5
    with torch.no_grad():
        policy.torso.gate.network[-1].bias += 9.0  # type: ignore[union-attr,index,operator]
    changed = drawn()
    assert (changed != picture).mean() > 0.05, "the gate is seen"


class DrawnWalk(Walk):
    """A walk that is drawn as a small grey board."""

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        return np.full((10, 160, 3), 128, dtype=np.uint8)


def scripted(*moves: int) -> Any:
    """Make a policy that takes these moves one after the other, whatever it sees."""
    script = iter(moves)
    return SimpleNamespace(act=lambda *_, **__: torch.tensor([next(script)]))


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is written into pictures."""
    written: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: Any, text: str, *rest: Any, **more: Any) -> None:
        written.append(text)
        draw(self, xy, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return written


def test_a_film_says_what_acts_and_what_it_has_come_to(words: list[str]) -> None:
    env = DrawnWalk(Config(), 1, seed=0, device=CPU)
    # Past a ghost (-1), to a diamond (1), past another ghost (1), where it ends; a step later
    # all is worth half.
    frames = pictures.film(scripted(1, 0, 1), env, title="routed: diamond", steps=3, seed=0)
    assert words[::2] == ["routed: diamond"] * 5
    assert words[1::2] == [
        "step 0   return +0.000",
        "step 1   return -1.000   ghost",
        "step 2   return -0.500   diamond, ghost",
        "step 3   return -0.250   diamond, ghost x2",
        "step 0   return +0.000",
    ]
    assert [frame.milliseconds for frame in frames] == [400, 200, 200, 800, 400]


def test_an_episode_without_an_outcome_says_so_at_its_end(words: list[str]) -> None:
    env = DrawnWalk(Config(), 1, seed=0, device=CPU)
    pictures.film(scripted(0, 1, 0, 1), env, title="x", steps=4, seed=0)
    assert words[7] == "step 3   return +1.250"
    assert words[9] == "step 4   return +1.250   no outcome"


def test_frames_are_scaled_by_whole_factors_below_a_strip() -> None:
    env = DrawnWalk(Config(), 1, seed=0, device=CPU)
    board = np.arange(10 * 70 * 3, dtype=np.uint8).reshape(10, 70, 3)
    env.render = lambda *_, **__: board
    (frame,) = pictures.film(scripted(), env, title="x", steps=0, seed=0)
    picture = np.asarray(frame.image)
    strip, below = picture[:-70], picture[-70:]
    assert picture.shape == (58 + 70, 490, 3), "seven times as large: 420 pixels are too few"
    assert (below.reshape(10, 7, 70, 7, 3) == board[:, None, :, None]).all()
    assert (strip.max(axis=2) < 130).sum() > 100, "there are dark words"


def test_a_card_has_two_boards_in_a_row_below_their_titles() -> None:
    env = world(1)
    policy = build_policy(PolicySpec((4, 5, 5), 4, env.spec.outcomes, (8,)))
    scenes = env.scenes()
    boards = pictures.draw({"policy": policy}, scenes, target="diamond")["policy"]
    assert len(boards) == 4
    card = pictures.card(boards, scenes)
    side = 5 * scenes[0].tile
    assert card.shape == (2 * (30 + side), 2 * side + 10, 3)
    for number, board in enumerate(boards):
        row, column = divmod(number, 2)
        top, left = 30 + row * (30 + side), column * (side + 10)
        assert (card[top : top + side, left : left + side] == np.asarray(board)).all()
        assert card[top - 30 : top, left : left + side].min() < 100, "a title"
    assert pictures.card(boards[:1], scenes[:1]).shape == (30 + side, side, 3)
