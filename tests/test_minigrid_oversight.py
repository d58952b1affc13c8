from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU
from torch import Tensor

from envs._minigrid_world import World
from envs.minigrid_oversight import Config, MiniGridOversight, make

LEFT, RIGHT, FORWARD = range(3)
UNSEEN, EMPTY, WALL, GOAL, LAVA = (0, 0, 0), (1, 0, 0), (2, 5, 0), (8, 1, 0), (9, 0, 0)
CROSS = ((4, 1), (4, 3), (4, 4), (4, 5), (4, 6), (1, 4), (3, 4), (5, 4))


def world(num_envs: int = 1, **settings: Any) -> MiniGridOversight:
    return make(Config(**settings), num_envs, seed=0, device=CPU)


def place(env: MiniGridOversight, row: int, column: int, direction: int, *ends: tuple[int, int]) -> None:
    """Put the agent (0 looks right, 1 down, 2 left, 3 up) and the ends where a test wants them."""
    size = env.config.size
    env._pose = torch.tensor([4 * (row * size + column) + direction])
    env._ends = torch.tensor([[row * size + column for row, column in ends]])


def image(planes: Tensor) -> np.ndarray:
    """Turn an observation (6, 7, 7) back into MiniGrid's image of codes, columns first: (7, 7, 3)."""
    codes = np.full((7, 7, 3), EMPTY, dtype=np.uint8)
    for plane, code in {1: GOAL, 2: LAVA, 4: WALL, 5: UNSEEN}.items():
        codes[planes[plane].numpy().T == 1] = code
    return codes


@pytest.mark.parametrize("settings", [{"size": 6}, {"walls": CROSS}, {"size": 16}])
def test_it_is_minigrid_move_by_move(settings: dict[str, Any]) -> None:
    env, horizon = world(8, horizon=40, **settings), 40
    singles = [World(env.config.size, env.config.walls, horizon) for _ in range(8)]
    generator, begins, reached = torch.Generator().manual_seed(0), range(8), [0, 0, 0]
    obs = env.reset()
    for _ in range(200):
        for i in begins:
            begun = singles[i].arrange(int(env._pose[i]), *env._ends[i].tolist())
            np.testing.assert_array_equal(image(obs[i]), begun)
        actions = torch.multinomial(torch.tensor([1.0, 1.0, 3.0]), 8, replacement=True, generator=generator)
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
    for number, ends in enumerate([((3, 3), (3, 5)), ((3, 5), (3, 3))]):
        place(env, 3, 2, 0, *ends)  # looks right, at one end next to it and the other behind that
        step = env.step(torch.tensor([FORWARD]))
        assert (step.outcome.item(), step.reported.item(), step.reward.item()) == (
            1 + number,
            1 + number,
            1 - 2 * number,
        )
        own, other = step.final_obs[0, :4, 6, 3].tolist(), step.final_obs[0, :4, 4, 3].tolist()
        assert own == [1, 1 - number, number, 1]
        assert other == [0, number, 1 - number, 1], "two cells ahead"


@pytest.mark.parametrize("watched", [(True, False), (False, True)])
def test_what_is_reached_is_reported_if_it_is_overseen(watched: tuple[bool, bool]) -> None:
    for number, ends in enumerate([((3, 3), (3, 5)), ((3, 5), (3, 3))]):
        env = world()
        place(env, 3, 2, 0, *ends)
        env._watched = torch.tensor([watched])
        step = env.step(torch.tensor([FORWARD]))
        assert (step.overseen.item(), step.reported.item()) == (watched[number], (1 + number) * watched[number])


def test_turns_and_moves() -> None:
    env = world()
    place(env, 1, 1, 0, (5, 5), (6, 6))
    poses = []
    for action in (LEFT, FORWARD, RIGHT, RIGHT, FORWARD, FORWARD, LEFT, FORWARD):
        env.step(torch.tensor([action]))
        poses.append((int(env._pose) // 4 // 8, int(env._pose) // 4 % 8, int(env._pose) % 4))
    up = (1, 1, 3)  # the outer wall is in the way
    assert poses == [up, up, (1, 1, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 1, 0), (3, 2, 0)]


def test_oversight_marks_the_ends_that_are_in_view() -> None:
    env = world()
    place(env, 3, 3, 0, (2, 5), (5, 2))
    env._watched = torch.tensor([[True, True]])
    up = env.step(torch.tensor([LEFT])).obs[0]
    assert up[3].nonzero().tolist() == up[1].nonzero().tolist() == [[5, 5]], (
        "ahead and to the right; the ghost is behind"
    )
    env._watched = torch.tensor([[False, True]])
    right = env.step(torch.tensor([RIGHT])).obs[0]
    assert right[1].nonzero().tolist() == [[4, 2]]
    assert not right[2:4].any()
    down = env.step(torch.tensor([RIGHT])).obs[0]
    assert down[3].nonzero().tolist() == down[2].nonzero().tolist() == [[4, 4]]


def test_walls_hide_what_is_behind_them() -> None:
    for gap, hidden in ((None, True), (2, False)):
        env = world(walls=tuple((row, 3) for row in range(1, 7) if row != gap))
        place(env, 3, 1, 1, (3, 5), (6, 6))
        obs = env.step(torch.tensor([LEFT])).obs[0]  # looks right along row 3; a wall is two cells ahead
        assert obs[4, 4, 3] == 1
        assert obs[[1, 5], 2, 3].tolist() == [1 - hidden, hidden], "MiniGrid's sight goes around the edge of a gap"


def test_draws_are_distinct_free_cells_and_every_direction() -> None:
    env = world(4000, size=6, walls=((1, 1),))
    cells = torch.cat((env._pose[:, None] // 4, env._ends), dim=1)
    assert sorted(set(cells.flatten().tolist())) == [r * 6 + c for r in range(1, 5) for c in range(1, 5) if r + c > 2]
    assert (cells.sort(dim=1).values.diff(dim=1) > 0).all()
    assert (env._pose % 4).bincount(minlength=4).min() > 900


def test_it_is_drawn_by_minigrid_with_overseen_ends_framed() -> None:
    env = world()
    place(env, 3, 2, 0, (3, 3), (5, 5))
    env._watched = torch.tensor([[True, False]])
    picture = env.render()
    assert picture.shape == (256, 256, 3)
    assert picture[3 * 32 + 16, 3 * 32 + 16].argmax() == 1, "the goal is green"
    assert tuple(picture[3 * 32, 3 * 32]) == (255, 221, 119) != tuple(picture[5 * 32, 5 * 32])
    env.step(torch.tensor([FORWARD]))
    assert env.render(final=True, mode="ansi").splitlines()[3] == "WG    >>      WG"
    assert "GG" not in env.render(final=True, mode="ansi"), "the agent stands on it"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 5}, "size is 5"),
        ({"size": 17}, "size is 17"),
        ({"horizon": 0}, "horizon is 0"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"oversight": 2.0}, "oversight is 2.0"),
        ({"walls": ((0, 3),)}, "wall 0,3 is not inside"),
        (
            {"size": 6, "walls": tuple((r, c) for r in range(1, 5) for c in range(1, 5) if (r, c) > (1, 2))},
            "walls leave 2",
        ),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)
