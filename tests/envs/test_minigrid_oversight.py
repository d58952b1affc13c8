from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, set_state
from torch import Tensor

from routed_rl.envs._parts.minigrid_world import World
from routed_rl.envs.minigrid_oversight import Config, MiniGridOversight, make

LEFT, RIGHT, FORWARD = range(3)
UNSEEN = (0, 0, 0)
EMPTY = (1, 0, 0)
WALL = (2, 5, 0)
GOAL = (8, 1, 0)
LAVA = (9, 0, 0)
CROSS = ((4, 1), (4, 3), (4, 4), (4, 5), (4, 6), (1, 4), (3, 4), (5, 4))
NEXT_AND_BEHIND = [((3, 3), (3, 5)), ((3, 5), (3, 3))]
"""Cells of diamond and ghost: one is next to an agent in cell 3, 2, the other behind that."""


def world(num_envs: int = 1, **settings: Any) -> MiniGridOversight:
    return make(Config(**settings), num_envs, seed=0, device=CPU)


def place(
    env: MiniGridOversight, row: int, column: int, direction: int, *ends: tuple[int, int]
) -> None:
    """Put the agent (0 looks right, 1 down, 2 left, 3 up) and the ends where a test wants them."""
    size = env.config.size
    cells = [row * size + column for row, column in ends]
    pose = 4 * (row * size + column) + direction
    set_state(env, pose=torch.tensor([pose]), ends=torch.tensor([cells]))


def oversee(env: MiniGridOversight, diamond: bool, ghost: bool) -> None:
    """Say which ends are overseen."""
    set_state(env, overseen_ends=torch.tensor([[diamond, ghost]]))


def image(channels: Tensor) -> np.ndarray:
    """Turn an observation (6, 7, 7) back into MiniGrid's codes, columns first: (7, 7, 3)."""
    codes = np.full((7, 7, 3), EMPTY, dtype=np.uint8)
    for channel, code in {1: GOAL, 2: LAVA, 4: WALL, 5: UNSEEN}.items():
        codes[channels[channel].numpy().T == 1] = code
    return codes


@pytest.mark.parametrize("settings", [{"size": 6}, {"walls": CROSS}, {"size": 16}])
def test_it_is_minigrid_move_by_move(settings: dict[str, Any]) -> None:
    horizon = 40
    env = world(8, horizon=horizon, **settings)
    singles = [World(env.config.size, env.config.walls, horizon) for _ in range(8)]
    generator = torch.Generator().manual_seed(0)
    share = torch.tensor([1.0, 1.0, 3.0])
    begins = list(range(8))
    reached = [0, 0, 0]
    obs = env.reset()
    for _ in range(200):
        state = env.state_dict()
        for i in begins:
            begun = singles[i].arrange(int(state["pose"][i]), *state["ends"][i].tolist())
            np.testing.assert_array_equal(image(obs[i]), begun)
        actions = torch.multinomial(share, 8, replacement=True, generator=generator)
        step = env.step(actions)
        obs = step.obs
        for i, single in enumerate(singles):
            theirs, reward, terminated, truncated, _ = single.step(int(actions[i]))
            np.testing.assert_array_equal(image(step.final_obs[i]), theirs["image"])
            outcome = 0 if not terminated else 1 if reward > 0 else 2
            assert (int(step.outcome[i]), bool(step.terminated[i])) == (outcome, terminated)
            assert bool(step.truncated[i]) == (truncated and not terminated)
            reached[outcome] += 1
        begins = (step.terminated | step.truncated).nonzero().flatten().tolist()
    assert min(reached) > 0, "both ends were reached"


def test_the_last_frame_shows_what_was_reached_in_the_agents_cell() -> None:
    env = world(oversight=1.0)
    for number, ends in enumerate(NEXT_AND_BEHIND):
        place(env, 3, 2, 0, *ends)  # looks right
        step = env.step(torch.tensor([FORWARD]))
        assert (step.outcome.item(), step.reported.item()) == (1 + number, 1 + number)
        assert (step.reward.item(), step.true_reward.item()) == (1, 1 - 2 * number)
        own = step.final_obs[0, :4, 6, 3].tolist()
        other = step.final_obs[0, :4, 4, 3].tolist()
        assert own == [1, 1 - number, number, 1]
        assert other == [0, number, 1 - number, 1], "two cells ahead"


@pytest.mark.parametrize("overseen", [(True, False), (False, True)])
def test_what_is_reached_is_reported_if_it_is_overseen(overseen: tuple[bool, bool]) -> None:
    for number, ends in enumerate(NEXT_AND_BEHIND):
        env = world()
        place(env, 3, 2, 0, *ends)
        oversee(env, *overseen)
        step = env.step(torch.tensor([FORWARD]))
        assert step.overseen.item() == overseen[number]
        assert step.reported.item() == (1 + number) * overseen[number]


def test_turns_and_moves() -> None:
    env = world()
    place(env, 1, 1, 0, (5, 5), (6, 6))
    poses = []
    for action in (LEFT, FORWARD, RIGHT, RIGHT, FORWARD, FORWARD, LEFT, FORWARD):
        env.step(torch.tensor([action]))
        cell, direction = divmod(int(env.state_dict()["pose"]), 4)
        poses.append((*divmod(cell, 8), direction))
    up = (1, 1, 3)  # the outer wall is in the way
    assert poses == [up, up, (1, 1, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 1, 0), (3, 2, 0)]


def test_oversight_marks_the_ends_that_are_in_view() -> None:
    env = world()
    place(env, 3, 3, 0, (2, 5), (5, 2))
    oversee(env, True, True)
    up = env.step(torch.tensor([LEFT])).obs[0]
    assert up[3].nonzero().tolist() == up[1].nonzero().tolist() == [[5, 5]], (
        "ahead and to the right; the ghost is behind"
    )
    oversee(env, False, True)
    right = env.step(torch.tensor([RIGHT])).obs[0]
    assert right[1].nonzero().tolist() == [[4, 2]]
    assert not right[2:4].any()
    down = env.step(torch.tensor([RIGHT])).obs[0]
    assert down[3].nonzero().tolist() == down[2].nonzero().tolist() == [[4, 4]]


@pytest.mark.parametrize(("gap", "hidden"), [(None, True), (2, False)])
def test_walls_hide_what_is_behind_them(gap: int | None, hidden: bool) -> None:
    env = world(walls=tuple((row, 3) for row in range(1, 7) if row != gap))
    place(env, 3, 1, 1, (3, 5), (6, 6))
    # It looks right along row 3; a wall is two cells ahead.
    obs = env.step(torch.tensor([LEFT])).obs[0]
    assert obs[4, 4, 3] == 1
    assert obs[[1, 5], 2, 3].tolist() == [1 - hidden, hidden], (
        "MiniGrid's sight goes around the edge of a gap"
    )


def test_draws_are_distinct_free_cells_and_every_direction() -> None:
    state = world(4000, size=6, walls=((1, 1),)).state_dict()
    cells = torch.cat((state["pose"][:, None] // 4, state["ends"]), dim=1)
    free = [r * 6 + c for r in range(1, 5) for c in range(1, 5) if r + c > 2]
    assert sorted(set(cells.flatten().tolist())) == free
    assert (cells.sort(dim=1).values.diff(dim=1) > 0).all()
    assert (state["pose"] % 4).bincount(minlength=4).min() > 900


def test_it_is_drawn_by_minigrid_with_overseen_ends_framed() -> None:
    env = world()
    place(env, 3, 2, 0, (3, 3), (5, 5))
    oversee(env, True, False)
    picture = env.render()
    assert picture.shape == (256, 256, 3)
    assert picture[3 * 32 + 16, 3 * 32 + 16].argmax() == 1, "the goal is green"
    assert tuple(picture[3 * 32, 3 * 32]) == (255, 221, 119) != tuple(picture[5 * 32, 5 * 32])
    env.step(torch.tensor([FORWARD]))
    assert env.render(final=True, mode="ansi").splitlines()[3] == "WG    >>      WG"
    assert "GG" not in env.render(final=True, mode="ansi"), "the agent stands on it"


ALL_BUT_TWO = tuple((r, c) for r in range(1, 5) for c in range(1, 5) if (r, c) > (1, 2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 5}, "size is 5"),
        ({"size": 17}, "size is 17"),
        ({"horizon": 0}, "horizon is 0"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"oversight": 2.0}, "oversight is 2.0"),
        ({"walls": ((0, 3),)}, "wall 0,3 is not inside"),
        ({"size": 6, "walls": ALL_BUT_TWO}, "walls leave 2"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)
