"""Boards of arrows, and films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers import world
from numpy.typing import NDArray
from PIL import Image

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


def test_a_film_shows_steps_ends_and_new_starts(tmp_path: Path) -> None:
    env = world(1, rows=1, columns=3)
    policy = build_policy(PolicySpec(env.spec.obs_shape, 4, env.spec.outcomes, (8,)))
    pictures.film(policy, env, tmp_path / "film.gif", steps=20, seed=0)
    durations = []
    with Image.open(tmp_path / "film.gif") as film:
        for frame in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(frame)
            durations.append(film.info["duration"])
    assert len(durations) > 10
    assert max(durations) >= 800
