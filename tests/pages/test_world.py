"""A world in a page: its board says where everything is, and no move leaves what a page holds."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np
import pytest
import torch

from routed_rl.pages import world
from routed_rl.training import builder
from routed_rl.training.setup import Setup

SMALL = ("--env.rows", "3", "--env.columns", "3")


def setup_of(*flags: str) -> Setup:
    return builder.build(list(flags), "test")


def described(*flags: str) -> dict[str, Any]:
    setup = setup_of(*flags)
    env = setup.make_env(1, seed=0)
    model = env.model()
    assert model is not None
    return world.describe(setup.make_agent(env).policies(), env.spec, model)


def arrays(page: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    data = gzip.decompress(base64.b64decode(page["bytes"]))
    return {
        name: np.frombuffer(data, one["type"], int(np.prod(one["shape"])), one["at"]).reshape(
            one["shape"]
        )
        for name, one in page["arrays"].items()
    }


@pytest.mark.parametrize(
    "flags",
    [
        ("--env", "gridworld", *SMALL, "--env.walls", "1", "1"),
        ("--env", "substitution", *SMALL),
        ("--env", "confounded", "--env.side", "3"),
        ("--env", "boat_race"),
        ("--env", "absent_supervisor"),
        ("--env", "whisky_gold", "--env.exploration", "0"),
    ],
)
def test_the_board_is_what_is_observed(flags: tuple[str, ...]) -> None:
    env = setup_of(*flags).make_env(1, seed=0)
    model = env.model()
    assert model is not None
    board = model.board
    assert board is not None
    states = torch.arange(len(model.next_state))
    seen = model.observe(states).flatten(2)  # (S, C, cells)
    places = board.cells[:, 0, None]
    assert bool((seen[:, 0].gather(1, places) == 1).all())  # the agent's channel
    assert seen[:, 0].sum() == len(states)
    assert not bool((board.walls[board.cells[:, 0]] & (model.start_probability > 0)).any())
    for thing, name in enumerate(board.things, start=1):
        if name in env.spec.outcomes:  # its channel is marked there, if it is anywhere
            there = board.cells[:, thing] < board.rows * board.columns
            marks = seen[there, 1 + env.spec.outcomes.index(name)]
            assert bool((marks.gather(1, board.cells[there, thing, None]) == 1).all())


def test_who_asks_moves_alike() -> None:
    model = setup_of("--env", "gridworld", *SMALL, "--env.ask").make_env(1, seed=0).model()
    assert model is not None
    assert model.board is not None
    assert model.board.moves.tolist() == [[-1, 0], [1, 0], [0, -1], [0, 1]] * 2


def test_a_page_holds_the_whole_of_a_small_world() -> None:
    page = described("--env", "gridworld", *SMALL)
    found = arrays(page)
    assert page["whole"]
    assert found["next"].shape == (9 * 8 * 7 * 4, 4)
    assert found["start"].sum() == pytest.approx(1, abs=1e-5)
    assert page["things"] == ("diamond", "ghost")


def test_of_a_large_world_it_holds_whole_placements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "MOST_BYTES", 12_000)
    page = described("--env", "gridworld", *SMALL)
    found = arrays(page)
    count = len(found["start"])
    assert not page["whole"]
    assert 0 < count * 2 * 3 * 5 <= 12_000  # 16 bits, 3 policies, 4 moves and a gate
    assert count % (7 * 4) == 0  # the agent on 7 cells, and 4 sets of ends that are overseen
    cells = found["cells"].T
    goes_on = found["ends"] == 0
    after = found["next"]
    # No move leaves its placement, so the numbers of states are those of the page.
    for action in range(4):
        on = goes_on[:, action]
        assert (cells[after[on, action], 1:] == cells[on, 1:]).all()
        assert (np.abs(cells[after[on, action], 0] - cells[on, 0]) <= 3).all()
    assert found["start"].sum() == pytest.approx(1, abs=1e-5)


def test_none_where_moves_change_too_large_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "MOST_BYTES", 1000)
    assert described("--env", "boat_race") == {}
